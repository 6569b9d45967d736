package guardian

import "os"

// meetSystemd speaks to systemd, where it started this process, and takes over what it kept of one before.
func (g *Guardian) meetSystemd() error {
	var err error
	if g.systemd, err = underSystemd(g.Env, g.Log); err != nil || g.systemd == nil || g.systemd.room == 0 {
		return err
	}
	files, err := inherited(g.Env, os.Getpid())
	if err != nil {
		return err
	}
	g.systemd.inherit(files)
	before, err := g.store.keepIn(g.systemd, files)
	if err != nil {
		g.Log.Error("the store is not kept as it should be", "error", err)
	}
	if before != nil {
		if !End(before.PID, before.Began, lastWords) { // it ends by itself when it can
			g.Log.Error("the controller of the guardian before this one does not end", "pid", before.PID)
		}
		g.starts = before.Starts
	}
	if len(g.store.entries) > 0 {
		g.starts = max(g.starts, 1) // the next controller is not the first
		g.heir, g.behind = true, true
		g.Log.Warn("the guardian before this one has died; taking its processes over")
	}
	return nil
}

func (g *Guardian) partFromSystemd() {
	if g.systemd != nil {
		g.systemd.close()
	}
}

func (g *Guardian) tellSystemd(state string) {
	if g.systemd != nil {
		g.systemd.tell(state)
	}
}
