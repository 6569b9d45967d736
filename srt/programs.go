package srt

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"brume/media"
	"brume/media/ts"
)

// Bounds of what a process tells of the programs of its transport stream.
const (
	MaxPrograms    = 64 // of Programs.List
	MaxMapped      = 16 // of Feed.Mapped
	maxProgramText = 64 // bytes of a name or a provider
)

// Feed says what a publisher's process does with its transport stream. The message that it comes with has the buffer of the
// stream that the connection names, then those of Mapped in their order.
type Feed struct {
	Raw     bool          `json:"raw,omitempty"`     // keep the transport stream as it came
	Program string        `json:"program,omitempty"` // that the named stream takes; empty for the first
	Mapped  []MappedInput `json:"mapped,omitempty"`  // programs that go to other streams
}

// MappedInput is a program, by number or by the name of its service, and the stream that it goes to.
type MappedInput struct {
	Program string `json:"program"`
	Stream  string `json:"stream"`
}

// ProgramNumber reads a program that is given by its number. It is 0 for the name of a service.
func ProgramNumber(program string) uint16 {
	n, err := strconv.ParseUint(program, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// Programs tells which programs a transport stream holds, and which of them are taken.
type Programs struct {
	List  []Program `json:"list"`
	Taken []uint16  `json:"taken"` // program numbers, 0 for none yet: of the named stream, then of Feed.Mapped in its order
	// Waits is what they wait for before their streams have media, in the order of Taken; empty: nothing.
	Waits []ts.Wait `json:"waits,omitempty"`
}

// LeftOut tells what of a program that is taken is not carried.
type LeftOut struct {
	Of      int          `json:"of"`                // which of Programs.Taken
	Nothing bool         `json:"nothing,omitempty"` // it has nothing that can be played
	List    []ts.LeftOut `json:"list"`
}

// Bound makes what a process said fit: no more entries than an honest one sends, and only words that are known.
func (l *LeftOut) Bound() {
	l.List = slices.DeleteFunc(l.List[:min(len(l.List), ts.MaxLeftOut)], func(e ts.LeftOut) bool {
		return e.PID >= ts.PIDs || !ts.IsElementName(e.Type) || !e.Reason.Known() || !media.IsLanguage(e.Language)
	})
}

// Program is a program of a transport stream.
type Program struct {
	Number   uint16 `json:"number"`
	PMT      uint16 `json:"pmt"` // PID
	Name     string `json:"name,omitempty"`
	Provider string `json:"provider,omitempty"`
}

// Bound makes what a process said fit: no more entries and no longer texts than an honest one sends.
func (p *Programs) Bound() {
	p.List = p.List[:min(len(p.List), MaxPrograms)]
	p.Taken = p.Taken[:min(len(p.Taken), MaxMapped+1)]
	p.Waits = p.Waits[:min(len(p.Waits), MaxMapped+1)]
	for i, w := range p.Waits {
		if !w.Known() {
			p.Waits[i] = ""
		}
	}
	for i := range p.List {
		q := &p.List[i]
		q.Name, q.Provider = clipText(q.Name), clipText(q.Provider)
	}
}

// clipText shortens a text to what a message has room for.
func clipText(s string) string {
	if len(s) <= maxProgramText {
		return s
	}
	n := maxProgramText
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
