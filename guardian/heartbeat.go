package guardian

import "golang.org/x/sys/unix"

// A controller that hangs is as bad as one that has died, but no exit tells of it. So the guardian asks once a tick whether
// the controller's main loop still runs, and ends one that does not answer.

// Bounds of a controller's silence, in ticks of the guardian and not in time: what a guardian that was itself stopped did not
// hear is nobody's fault.
const (
	// startTicks is for a controller that has yet to take over whatever runs.
	startTicks = 60
	// hungTicks is for one that serves.
	hungTicks = 10
	// busyFactor is how many times longer one may take that waits for a processor or a disk: the machine is loaded.
	busyFactor = 3
)

// beat asks the controller whether it lives, and ends one that has been silent for too long.
func (g *Guardian) beat() {
	if g.conn == nil {
		return
	}
	g.unheard++
	if g.unheard > g.patience*busyFactor || g.unheard > g.patience && !Runnable(g.pid) {
		g.Log.Error("the controller hangs; ending it", "pid", g.pid, "unanswered", g.unheard-1, "state", string(State(g.pid)))
		_ = unix.Kill(g.pid, unix.SIGKILL)
		g.unheard = 0 // one that does not die at once is killed again later
	}
	_ = g.conn.Send(MsgAlive, nil) // where there is no room it has enough of them to answer
}

// alive takes the controller's answer.
func (g *Guardian) alive() {
	g.unheard = 0
	if g.systemd != nil {
		g.systemd.alive()
	}
}
