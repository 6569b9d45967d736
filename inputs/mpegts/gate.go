package mpegts

import (
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxWait is for how long an epoch waits for the parameters of all tracks, in time of
	// arrival and in media time. A picture to begin with may come later: Options.VideoWait.
	maxWait = time.Second
	// leadIn is by how much audio may come before the first picture of an epoch.
	leadIn = media.ClockRate / 10
	// leadInData is the same for data, whose meaning may lie ahead.
	leadInData = 2 * media.ClockRate
)

// gateState says what becomes of the units that pass the clock.
type gateState uint8

// The states and what ends them:
//
//	gateWaits    a picture to begin with, and all other tracks or time for them: gateRuns
//	gateRuns     other tracks, or other parameters of one: gateChanges; a jump of the clock: gateWaits
//	gateChanges  the next random access point of the video: gateRuns; a jump of the clock: gateWaits
const (
	gateWaits   gateState = iota // no epoch runs
	gateRuns                     // one does
	gateChanges                  // one does, and another is due
)

// gate opens epochs and lets units pass into them. One rule says where an epoch begins, whatever is the reason for it: at
// a random access point of the video, where there is video.
type gate struct {
	state     gateState
	pending   queue         // units that the running epoch does not take
	changeAt  time.Duration // since when an epoch is due, by arrival
	changeRef int64         // and in media time, NoPTS: not known yet
	picture   int64         // time of the first picture of the running epoch, NoPTS without video
	pkt       media.Packet
}

// expectEpoch says that the PMT has other tracks than before.
func (d *Demuxer) expectEpoch() {
	d.changed()
	d.changeAt, d.changeRef = d.now, media.NoPTS
	if d.haveRef {
		d.changeRef = d.ref
	}
}

// changed says that the running epoch no longer has all tracks as they are.
func (d *Demuxer) changed() {
	if d.state == gateRuns {
		d.state = gateChanges
	}
}

// tick decides what only the time of arrival decides.
func (d *Demuxer) tick() error {
	if len(d.held.units) > 0 && d.now-d.heldSince >= maxHeldTime {
		if err := d.settle(false); err != nil {
			return err
		}
	}
	if err := d.catchUp(); err != nil {
		return err
	}
	d.waitForPMT()
	if len(d.pending.units) > 0 && d.due(nil) {
		return d.begin()
	}
	return nil
}

// lead is the track whose random access points matter: the first video track that is in the running epoch or could be in
// the next.
func (d *Demuxer) lead() *stream {
	for _, s := range d.streams {
		if s.kind() == media.Video && (s.track >= 0 || s.waits) {
			return s
		}
	}
	return nil
}

// due reports whether a new epoch begins now, with u as the unit at hand (nil: none).
func (d *Demuxer) due(u *unit) bool {
	if d.state == gateRuns {
		return false
	}
	lead := d.lead()
	if lead != nil && lead.track >= 0 && (u == nil || u.s != lead || !u.random) {
		return false // what runs is better than pictures whose references are gone
	}
	any, some := false, false
	missing := time.Duration(0) // how long what is missing is waited for
	for _, s := range d.streams {
		here := s.track >= 0 || s.waits
		switch {
		case s.kind() == media.Data:
			continue
		case here:
			some = true
		case s.absent:
		case s.kind() == media.Video && lead == nil:
			missing = d.videoWait
		default:
			missing = max(missing, maxWait)
		}
		any = true
	}
	if d.changeRef == media.NoPTS && d.haveRef {
		d.changeRef = d.ref
	}
	switch {
	case any && !some:
		return false
	case d.now-d.changeAt >= missing, d.haveRef && d.ref-d.changeRef >= media.Ticks(missing):
		return true
	default: // other parameters of what runs can't wait
		return lead != nil && lead.track >= 0 && lead.waits
	}
}

// pass gives a unit on, or keeps it for the epoch that is due.
func (d *Demuxer) pass(u *unit) error {
	if len(d.early.units) > 0 {
		if err := d.giveEarly(); err != nil {
			return err
		}
	}
	s := u.s
	switch {
	case s.gone:
		return nil
	case s.track >= 0 && s.fits(u):
		if d.state != gateChanges || !d.due(u) {
			return d.write(u)
		}
	case s.track >= 0:
	case s.kind() == media.Video && !s.waits && !u.random:
		return nil // nothing that it could be decoded with
	}
	d.wait(u)
	switch {
	case d.due(u):
		return d.begin()
	case !d.pending.full():
		return nil
	}
	d.stats.Oversized++
	if lead := d.lead(); lead != nil && lead.track < 0 || lead == nil && d.audible() {
		return d.begin()
	}
	d.forgetWaiting()
	return nil
}

// fits reports whether the running epoch, which has the track, can take a unit: it was declared with the unit's
// parameters, or the unit is a picture in the middle of others, which brings along what has changed.
func (s *stream) fits(u *unit) bool {
	if s.kind() != media.Video {
		return u.params == s.given || same(u.params, s.given)
	}
	return !s.waits && (!u.random || s.given.cover(u.params))
}

// wait keeps a unit for the epoch that is due. Where that has to begin at a picture that is still to come, it keeps what
// may still be part of it.
func (d *Demuxer) wait(u *unit) {
	d.changed()
	u.s.waits, u.s.absent = true, false
	if lead := d.lead(); lead == nil || lead.track >= 0 {
		d.pending.trim(u.dts - leadInData)
	}
	d.pending.push(u)
}

// forgetWaiting drops the units that wait. A video goes on to wait, as what follows needs them.
func (d *Demuxer) forgetWaiting() {
	d.pending.reset()
	for _, s := range d.streams {
		s.waits = s.waits && s.track >= 0 && s.kind() == media.Video
	}
}

// audible reports whether there is an audio track that can be used.
func (d *Demuxer) audible() bool {
	for _, s := range d.streams {
		if s.ready && s.kind() == media.Audio {
			return true
		}
	}
	return false
}

// Waits is what the program waits for before its first epoch, or before the next one when its clock has jumped; empty while
// an epoch runs.
func (d *Demuxer) Waits() ts.Wait {
	if d.state != gateWaits {
		return ""
	}
	switch {
	case d.pmtCRC != 0:
	case d.Missing():
		return ts.WaitProgram
	default:
		return ts.WaitTables
	}
	some, lacks := false, ts.Wait("")
	for _, s := range d.streams {
		switch {
		case s.kind() == media.Data:
		case s.waits:
			some = true
		case s.lacks != "":
			return s.lacks
		case lacks == "" && s.kind() == media.Video:
			lacks = ts.WaitVideo
		case lacks == "":
			lacks = ts.WaitAudio
		}
	}
	if !some || lacks == "" {
		return ts.WaitMedia
	}
	return lacks
}

// flushGate gives on what is held, as nothing follows.
func (d *Demuxer) flushGate() error {
	if err := d.release(); err != nil {
		return err
	}
	if len(d.held.units) > 0 {
		if err := d.settle(true); err != nil {
			return err
		}
	}
	return d.beginWaiting()
}

// beginWaiting begins an epoch with the units that wait, as nothing follows that belongs to them.
func (d *Demuxer) beginWaiting() error {
	if lead := d.lead(); d.state == gateRuns || lead != nil && lead.track >= 0 || lead == nil && !d.audible() {
		return nil
	}
	return d.begin()
}
