package mpegts

import (
	"slices"

	"brume/media"
	"brume/media/ts"
)

// begin begins an epoch with the units that wait.
func (d *Demuxer) begin() error {
	d.pending.units = slices.DeleteFunc(d.pending.units, func(u unit) bool { return u.s.gone })
	if len(d.pending.units) == 0 {
		d.pending.reset()
		return nil
	}
	d.normalise(&d.pending)
	q := d.pending
	d.pending = queue{} // what the new epoch does not take waits for the next
	limit := d.cast(&q)
	d.state, d.picture = gateRuns, limit
	if err := d.announce(); err != nil {
		return err
	}
	for i := range q.units {
		u := &q.units[i]
		if u.s.early(u.dts, limit) {
			if u.s.codec != media.SCTE35 {
				continue
			}
			u.dts, u.pts = limit, limit // it says by itself what it is about
		}
		u.payload = q.payload(u)
		if err := d.pass(u); err != nil {
			return err
		}
	}
	if len(d.pending.units) == 0 {
		q.reset()
		d.pending = q
	}
	return nil
}

// cast decides which tracks an epoch has that begins with the units in q, and with which parameters. It returns the time
// of its first picture, NoPTS without video.
func (d *Demuxer) cast(q *queue) (limit int64) {
	limit = media.NoPTS
	lead := d.firstPicture(q)
	if lead != nil {
		limit = lead.dts
	}
	n, led := 0, false
	for _, s := range d.streams {
		first := q.first(s, limit)
		led = led || lead != nil && s == lead.s
		takes := s.ready
		if s.kind() == media.Video && first == nil {
			takes = takes && led // a further video begins when it can
		}
		s.track, s.waits, s.absent = -1, false, !takes
		s.entry = entry{}
		if !takes {
			continue
		}
		s.track, s.given = n, s.lastParams
		if first != nil {
			s.given = first.params
		}
		n++
	}
	return limit
}

// firstPicture is the unit in q with which the video of an epoch begins, nil without video.
func (d *Demuxer) firstPicture(q *queue) *unit {
	for _, s := range d.streams {
		if s.kind() != media.Video {
			continue
		}
		if u := q.first(s, media.NoPTS); u != nil {
			return u
		}
	}
	return nil
}

// first is the first unit of a stream in the queue that an epoch takes whose first picture is at limit.
func (q *queue) first(s *stream, limit int64) *unit {
	for i := range q.units {
		u := &q.units[i]
		if u.s == s && (s.kind() != media.Video || u.random) && !s.early(u.dts, limit) {
			return u
		}
	}
	return nil
}

// early reports whether a unit comes too long before the first picture, which is at limit.
func (s *stream) early(dts, limit int64) bool {
	switch {
	case limit == media.NoPTS:
		return false
	case s.kind() == media.Audio:
		return dts < limit-leadIn
	case s.kind() == media.Data:
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
				Codec: s.given.codec, Language: s.language, Role: s.role, PID: s.pid, Config: s.given.config,
				KeyframeDistance: s.keyframeDistance(),
			})
			if t := &tracks[len(tracks)-1]; s.dovi != [media.DolbyVisionSize]byte{} {
				t.DolbyVision = s.dovi[:]
			}
		}
	}
	d.stats.Epochs++
	return d.sink.BeginEpoch(tracks)
}

// write gives a unit to the running epoch.
func (d *Demuxer) write(u *unit) error {
	if min(u.dts, u.pts) < 0 { // behind the beginning of all, where no epoch that runs can go
		d.stats.UnitErrors++
		return nil
	}
	switch u.s.kind() {
	case media.Video:
		if !u.s.entry.enters(u, d.videoWait) {
			return nil
		}
	case media.Audio: // most multiplexers send it later than the picture that it belongs to
		if u.s.early(u.dts, d.picture) {
			return nil
		}
	}
	d.stats.Units++
	if u.torn {
		d.stats.TornUnits++
	}
	d.pkt = media.Packet{
		Track: u.s.track, DTS: u.dts, PTS: u.pts, RandomAccess: u.random, Gradual: u.gradual, Torn: u.torn, Resumes: u.random && u.resumes,
		Join: u.join, Payload: u.payload,
	}
	err := d.sink.WritePacket(&d.pkt)
	d.pkt.Payload = nil
	return err
}

// endEpoch ends the running epoch, as the clock has jumped.
func (d *Demuxer) endEpoch() {
	d.state = gateWaits
	d.pending.reset()
	for _, s := range d.streams {
		s.track, s.waits = -1, false
	}
	d.changeAt, d.changeRef = d.now, d.ref
}
