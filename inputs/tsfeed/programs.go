package tsfeed

import (
	"brume/inputs/mpegts"
	"brume/media/ts"
)

// MaxMapped bounds Options.Mapped.
const MaxMapped = 16

// Program chooses a program of the transport stream: by its number, else by the name of its service, else the first that
// is worth it.
type Program struct {
	Number  uint16
	Service string
}

func (p Program) demuxer() mpegts.Options {
	return mpegts.Options{Program: p.Number, Service: p.Service}
}

// Options say what becomes of a publisher's transport stream.
type Options struct {
	Program Program
	Raw     bool     // keep the transport stream as it came, beside the program
	Mapped  []Mapped // further programs, each with a buffer of its own
}

// Mapped is a program and the buffer that it goes to. Each is taken apart by itself, with a clock and epochs of its
// own. What it costs to look at the packets of all programs once more for each is little.
type Mapped struct {
	Program Program
	Buffer  Buffer
}

// Programs is what is known of the programs of a transport stream.
type Programs struct {
	Changes uint64           // grows with each change of List
	List    []mpegts.Program // not to be changed
	Taken   []Taken          // by the Publisher itself, then by Options.Mapped in their order
}

// Taken is which program is taken, and what of it is.
type Taken struct {
	Number  uint16       // 0: none yet
	Missing bool         // the one that was asked for is not in the transport stream
	Waits   ts.Wait      // for what it waits before it can be written; empty while it is
	LeftOut []ts.LeftOut // what of it is not carried; not to be changed
	Nothing bool         // it has nothing that can be played
}

// programs is what other goroutines see of them, under the publisher's mutex.
type programs struct {
	list    []mpegts.Program
	changes uint64
	taken   Taken
}

// notePrograms takes over what the demuxer knows, as of the last batch. The mutex is held.
func (p *Publisher) notePrograms() {
	if n := p.demux.Changes(); n != p.programs.changes {
		p.programs.changes, p.programs.list = n, p.demux.Programs()
	}
	p.programs.taken = Taken{p.demux.Program(), p.demux.Missing(), p.demux.Waits(), p.demux.LeftOut(), p.demux.Nothing()}
}

// Programs may be called at any time, from any goroutine.
func (p *Publisher) Programs() Programs {
	p.mu.Lock()
	out := Programs{Changes: p.programs.changes, List: p.programs.list, Taken: []Taken{p.programs.taken}}
	p.mu.Unlock()
	for _, m := range p.mapped {
		m.mu.Lock()
		out.Taken = append(out.Taken, m.programs.taken)
		m.mu.Unlock()
	}
	return out
}
