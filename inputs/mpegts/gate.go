package mpegts

import (
	"bytes"
	"slices"
	"time"

	"brume/media"
	"brume/media/ts"
)

const (
	// maxWait is for how long an epoch waits for the parameters of all tracks, in time of
	// arrival and in media time.
	maxWait      = time.Second
	maxWaitMedia = media.ClockRate
	// maxLate is for how long a change of tracks waits for a random access point, in media time.
	maxLate = 10 * media.ClockRate
	// leadIn is by how much audio may come before the first picture of an epoch.
	leadIn = media.ClockRate / 10
	// leadInData is the same for data, whose meaning may lie ahead.
	leadInData = 2 * media.ClockRate
)

// gate opens epochs and lets units pass into them.
type gate struct {
	open    bool  // an epoch is running
	change  bool  // another one is due
	pending queue // units that wait for it

	changeAt  time.Duration // when the PMT changed, by arrival
	changeRef int64         // and in media time, NoPTS: not known yet
	readyRef  int64         // media time when the last track got its parameters
	pkt       media.Packet
}

// expectEpoch says that the PMT has other tracks than before.
func (d *Demuxer) expectEpoch() {
	d.change = true
	d.changeAt, d.changeRef, d.readyRef = d.now, media.NoPTS, d.ref
	if d.haveRef {
		d.changeRef = d.ref
	}
}

// becameReady says that a track has got its parameters.
func (d *Demuxer) becameReady() {
	d.change = true
	d.readyRef = d.ref
}

// tick decides what only the time of arrival decides.
func (d *Demuxer) tick() error {
	if len(d.held.units) > 0 && d.now-d.heldSince >= maxHeldTime {
		if err := d.settle(false); err != nil {
			return err
		}
	}
	d.waitForPMT()
	if len(d.pending.units) > 0 && d.now-d.changeAt >= maxWait && d.due(nil) {
		return d.begin(&d.pending)
	}
	return nil
}

// lead is the track whose random access points matter: the first video track that can be used.
func (d *Demuxer) lead() *stream {
	for _, s := range d.streams {
		if s.ready && s.kind() == media.Video {
			return s
		}
	}
	return nil
}

// due tells whether a new epoch begins now, with u as the unit at hand (nil: none).
func (d *Demuxer) due(u *unit) bool {
	if !d.change {
		return false
	}
	complete, some, any := true, false, false
	for _, s := range d.streams {
		if s.kind() != media.Data {
			any = true
			complete = complete && s.ready
			some = some || s.ready
		}
	}
	if any && !some {
		return false
	}
	if d.changeRef == media.NoPTS && d.haveRef {
		d.changeRef = d.ref
	}
	late := d.now-d.changeAt >= maxWait || d.haveRef && d.ref-d.changeRef >= maxWaitMedia
	if !complete && !late {
		return false
	}
	lead := d.lead()
	switch {
	case !d.open, lead == nil, lead.track < 0:
		return true
	case u != nil && u.s == lead && u.random:
		return true
	default: // what runs is better than an epoch that begins in mid-GOP, for a while
		return d.ref-d.readyRef >= maxLate
	}
}

// pass gives a unit on, or keeps it for the epoch that is due.
func (d *Demuxer) pass(u *unit) error {
	s := u.s
	if s.gone {
		return nil
	}
	if d.due(u) || d.open && min(u.dts, u.pts) < 0 { // the epoch that begins moves it up
		d.pending.push(u)
		return d.begin(&d.pending)
	}
	if !d.open || s.track < 0 {
		d.pending.push(u)
		if !d.pending.full() {
			return nil
		}
		d.stats.Oversized++
		if d.lead() == nil && !d.audible() {
			d.pending.reset() // data that no epoch has been there for
			return nil
		}
		return d.begin(&d.pending)
	}
	if u.params != s.given {
		if !same(u.params, s.given) {
			d.pending.push(u)
			return d.begin(&d.pending)
		}
		s.given = u.params
	}
	return d.write(u)
}

// audible tells whether there is an audio track that can be used.
func (d *Demuxer) audible() bool {
	for _, s := range d.streams {
		if s.ready && s.kind() == media.Audio {
			return true
		}
	}
	return false
}

func same(a, b *params) bool {
	return a != nil && b != nil && a.codec == b.codec && bytes.Equal(a.config, b.config)
}

// begin begins an epoch with all tracks that are ready, and with the units in q.
func (d *Demuxer) begin(q *queue) error {
	q.units = slices.DeleteFunc(q.units, func(u unit) bool { return u.s.gone })
	if len(q.units) == 0 {
		q.reset()
		return nil
	}
	d.normalise(q)
	n := 0
	for _, s := range d.streams {
		s.track = -1
		if !s.ready {
			continue
		}
		s.track, s.given = n, s.lastParams
		for i := range q.units {
			if q.units[i].s == s {
				s.given = q.units[i].params
				break
			}
		}
		n++
	}
	d.open, d.change = true, false
	if err := d.announce(); err != nil {
		return err
	}
	limit := media.NoPTS
	if lead := d.lead(); lead != nil && q == &d.pending {
		for i := range q.units {
			if u := &q.units[i]; u.s == lead {
				limit = u.dts
				break
			}
		}
	}
	for i := range q.units {
		u := &q.units[i]
		s := u.s
		if s.track < 0 || limit != media.NoPTS && s.early(u.dts, limit) {
			continue
		}
		if !same(u.params, s.given) {
			s.given = u.params
			if err := d.announce(); err != nil {
				return err
			}
		}
		u.payload = q.payload(u)
		if err := d.write(u); err != nil {
			return err
		}
	}
	q.reset()
	return nil
}

// early tells that a unit comes too long before the first picture, which is at limit.
func (s *stream) early(dts, limit int64) bool {
	switch s.kind() {
	case media.Audio:
		return dts < limit-leadIn
	case media.Data:
		return dts < limit-leadInData
	default:
		return false
	}
}

// normalise makes times positive, which they are not where a stream begins just before the
// wrap with a track that is already behind it.
func (d *Demuxer) normalise(q *queue) {
	lowest := int64(0)
	for i := range q.units {
		lowest = min(lowest, q.units[i].dts, q.units[i].pts)
	}
	if lowest < 0 {
		d.shift((-lowest + ts.Wrap - 1) &^ (ts.Wrap - 1))
	}
}

// announce declares the tracks of a new epoch.
func (d *Demuxer) announce() error {
	tracks := make([]media.Track, 0, len(d.streams))
	for _, s := range d.streams {
		if s.track >= 0 {
			tracks = append(tracks, media.Track{
				Codec: s.given.codec, Language: s.language, PID: s.pid, Config: s.given.config,
				KeyframeDistance: s.keyframeDistance(),
			})
		}
	}
	d.stats.Epochs++
	return d.sink.BeginEpoch(tracks)
}

func (d *Demuxer) write(u *unit) error {
	d.stats.Units++
	d.pkt = media.Packet{Track: u.s.track, DTS: u.dts, PTS: u.pts, RandomAccess: u.random, Join: u.join, Payload: u.payload}
	err := d.sink.WritePacket(&d.pkt)
	d.pkt.Payload = nil
	return err
}

// flushGate gives on what is held, as nothing follows.
func (d *Demuxer) flushGate() error {
	if len(d.held.units) > 0 {
		if err := d.settle(true); err != nil {
			return err
		}
	}
	if d.change && (d.lead() != nil || d.audible()) {
		return d.begin(&d.pending)
	}
	return nil
}
