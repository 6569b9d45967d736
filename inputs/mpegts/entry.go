package mpegts

import (
	"slices"
	"time"

	"brume/media"
	"brume/media/h26x"
)

// entryState is how far an epoch is past the picture at which a decoder begins, or goes on after a loss.
type entryState uint8

// The states and what ends them. A random access point behind which no picture needs one before it always leads to entered.
//
//	entryWaits    a random access point: entryBegins
//	entryBegins   a picture that is shown behind it: entryMends; a random access point behind a loss: entryResumes; a picture that can't be marked: entryTorn
//	entryResumes  the same
//	entryMends    a random access point behind a loss: entryResumes; a picture that can't be marked: entryTorn
//	entryTorn     a random access point: entryResumes; Options.VideoWait since the loss: entered
//	entered       a random access point behind a loss: entryResumes
const (
	entryWaits entryState = iota
	entryBegins
	entryResumes
	entryMends
	entryTorn
	entered
)

// entry is the place at which a decoder begins or goes on.
type entry struct {
	state      entryState
	at         int64         // PTS, when state is not entryWaits
	since      time.Duration // when what came before it was missed
	references references
}

// enters reports whether the running epoch takes a picture: it begins at a random access point. The pictures that follow that in decoding order
// and are shown before it may refer to some from before (leading pictures of ITU-T H.265), which the epoch does not have; after a loss they are torn.
// So are those behind a picture that tells a decoder to remove pictures which it does not have: decoders of browsers end with an error there.
func (e *entry) enters(u *unit, wait time.Duration) bool {
	u.resumes = u.resumes && e.state != entryWaits // nothing comes before it
	if !e.place(u, wait) {
		return false
	}
	if u.torn || e.references.take(u) || e.state == entered || u.random && e.state == entryBegins || u.came-e.since >= wait {
		return true
	}
	u.torn, u.random = true, false
	e.state = entryTorn
	return true
}

// place goes on to the state that a picture leads to, and reports whether the epoch takes it.
func (e *entry) place(u *unit, wait time.Duration) bool {
	switch {
	case u.random && u.resumes && e.state != entryWaits:
		e.begin(entryResumes, u)
		e.since = u.came
	case u.random && e.state == entryTorn:
		u.resumes = true
		e.begin(entryResumes, u)
	case e.state == entryTorn:
		if u.torn = u.came-e.since < wait; !u.torn {
			e.state = entered
		}
	case u.random && u.closed:
		e.state = entered
	case e.state == entered, e.state == entryMends:
	case u.random && e.state != entryResumes && (e.state == entryWaits || u.pts <= e.at):
		e.begin(entryBegins, u)
		e.since = u.came
	case e.state == entryWaits:
		return false
	case u.pts > e.at:
		e.state = entryMends
	case e.state == entryResumes:
		u.torn = !u.random
	default:
		return false
	}
	return true
}

func (e *entry) begin(state entryState, u *unit) {
	e.state, e.at = state, u.pts
	if u.closed {
		e.state = entered
	}
}

// references are the pictures that a decoder of H.264 keeps to predict others from, by frame_num, unwrapped; the oldest first (ITU-T H.264 8.2.5).
// Fields and long-term pictures are not followed up.
type references struct {
	pictures [mostReferences]int64
	count    int
	last     int64 // of the last picture
	begun    bool
	blind    bool // up to the next picture before which none is left
}

// mostReferences bounds references: max_num_ref_frames goes up to 16.
const mostReferences = 16

func (r *references) kept() []int64 { return r.pictures[:r.count] }

// remove removes the picture with this place, add adds one, for which there must be room.
func (r *references) remove(i int) {
	r.count = i + copy(r.pictures[i:], r.pictures[i+1:r.count])
}

func (r *references) add(n int64) {
	r.pictures[r.count] = n
	r.count++
}

// take marks pictures as one does that a decoder gets, and reports whether it had all that the picture removes. Where it had not, nothing has happened.
func (r *references) take(u *unit) bool {
	m := &u.marking
	switch {
	case u.s.codec != media.H264:
		return true
	case m.Reset && m.Known:
		*r = references{begun: true}
		r.add(0)
		return true
	case !m.Known || r.blind:
		r.blind = true
		return true
	}
	wrap := int64(1) << m.Bits
	now := r.last + (int64(m.FrameNum)-r.last)&(wrap-1)
	before := *r
	if r.begun && now > r.last+1 { // decoders make up pictures for those that are missing (8.2.5.2)
		for n := max(r.last+1, now-int64(m.Most)); n < now; n++ {
			r.slide(m.Most)
			r.add(n)
		}
	}
	if m.Reference && !r.mark(m, now) {
		*r = before
		return false
	}
	r.last, r.begun = now, true
	return true
}

// mark marks the pictures before one, and the picture itself.
func (r *references) mark(m *h26x.H264Marking, now int64) bool {
	for _, back := range m.Removed() {
		i := slices.Index(r.kept(), now-int64(back))
		if i < 0 {
			return false
		}
		r.remove(i)
	}
	if !m.Explicit {
		r.slide(m.Most)
	}
	if slices.Contains(r.kept(), now) || r.count >= max(m.Most, 1) {
		return false
	}
	r.add(now)
	return true
}

// slide removes the oldest picture where there is no room for another (8.2.5.3).
func (r *references) slide(most int) {
	if r.count > 0 && r.count >= most {
		r.remove(0)
	}
}
