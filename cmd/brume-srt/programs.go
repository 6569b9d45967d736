package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"brume/buffer"
	tsinput "brume/inputs/tsfeed"
	"brume/srt"
)

// publisher opens the buffers of a grant and makes what writes them.
func (g *grant) publisher() (*tsinput.Publisher, error) {
	var o tsinput.Options
	if g.feed != nil {
		o.Raw, o.Program = g.feed.Raw, programOf(g.feed.Program)
		if len(g.more) != len(g.feed.Mapped) || len(g.more) > tsinput.MaxMapped {
			return nil, fmt.Errorf("%d buffers came for %d further programs", len(g.more), len(g.feed.Mapped))
		}
		for i, f := range g.more {
			w, err := openWriter(f)
			if err != nil {
				return nil, fmt.Errorf("stream %s: %w", g.feed.Mapped[i].Stream, err)
			}
			o.Mapped = append(o.Mapped, tsinput.Mapped{Program: programOf(g.feed.Mapped[i].Program), Buffer: w})
		}
	}
	w, err := openWriter(g.file)
	if err != nil {
		return nil, err
	}
	return tsinput.NewPublisher(w, time.Now, o), nil
}

func openWriter(f *os.File) (*buffer.Writer, error) {
	w, err := buffer.OpenWriter(f)
	return w, errors.Join(err, f.Close())
}

// programOf reads a program as the configuration has it: its number, or the name of its service.
func programOf(s string) tsinput.Program {
	if n := srt.ProgramNumber(s); n != 0 {
		return tsinput.Program{Number: n}
	}
	return tsinput.Program{Service: s}
}

// tellPrograms tells the controller which programs there are and what of them is carried, and the operator which are not
// there, when that has changed or when a new controller asks.
func (r *reporter) tellPrograms(p *process, pub publisher, again bool) {
	now, before := pub.Programs(), r.programs
	r.programs = now
	for i, t := range now.Taken {
		if again || i >= len(before.Taken) || t.Nothing != before.Taken[i].Nothing || !slices.Equal(t.LeftOut, before.Taken[i].LeftOut) {
			_ = p.control.Send(srt.MsgLeftOut, srt.LeftOut{Of: i, Nothing: t.Nothing, List: t.LeftOut})
		}
	}
	same := func(a, b tsinput.Taken) bool {
		return a.Number == b.Number && a.Missing == b.Missing && a.Waits == b.Waits
	}
	if now.Changes == before.Changes && slices.EqualFunc(now.Taken, before.Taken, same) && !again {
		return
	}
	m := srt.Programs{}
	for _, q := range now.List {
		m.List = append(m.List, srt.Program{Number: q.Number, PMT: q.PMT, Name: q.Name, Provider: q.Provider})
	}
	for _, t := range now.Taken {
		m.Taken, m.Waits = append(m.Taken, t.Number), append(m.Waits, t.Waits)
	}
	m.Bound()
	_ = p.control.Send(srt.MsgPrograms, m)
	for i, t := range now.Taken {
		was := i < len(before.Taken) && before.Taken[i].Missing && before.Changes == now.Changes
		if t.Missing && !was && pub.feed != nil {
			p.log("warn", missing(pub.feed, i, m.List), 1)
		}
	}
}

// missing says that a program is not there, and what is.
func missing(feed *srt.Feed, taken int, list []srt.Program) string {
	wanted, where := feed.Program, ""
	if taken > 0 {
		m := feed.Mapped[taken-1]
		wanted, where = m.Program, " for the stream "+m.Stream
	}
	var there []string
	for i := range list {
		text := fmt.Sprint(list[i].Number)
		if list[i].Name != "" {
			text += fmt.Sprintf(" %q", list[i].Name)
		}
		there = append(there, text)
	}
	return fmt.Sprintf("there is no program %q%s in the transport stream; it has %s", wanted, where, strings.Join(there, ", "))
}
