package hls

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"brume/media"
)

// holdHalves is after how many halves of a target duration a request for what does not come is answered. A server may
// wait for three whole ones (draft-pantos-hls-rfc8216bis 6.2.5.2), but players give up before.
const holdHalves = 3

// wait returns the first snapshot for which done is true. It gives up with late after a time that is asked of the newest
// snapshot, with errGone and errClosing.
func (s *Stream) wait(ctx context.Context, patience func(*snapshot) time.Duration, late error, done func(*snapshot) (bool, error)) (*snapshot, error) {
	began := time.Now()
	var timer *time.Timer
	for {
		snap := s.current()
		if snap == nil {
			return nil, errClosing
		}
		if ok, err := done(snap); ok || err != nil {
			return snap, err
		}
		left := patience(snap) - time.Since(began)
		if left <= 0 {
			return snap, late
		}
		if timer == nil {
			timer = time.NewTimer(left)
			defer timer.Stop()
		} else {
			timer.Reset(left)
		}
		select {
		case <-snap.superseded:
		case <-timer.C:
		case <-ctx.Done():
			return nil, errGone
		case <-s.closing:
			return nil, errClosing
		}
	}
}

// stallTime is how long a request for a part waits that does not come.
func stallTime(s *snapshot) time.Duration { return media.Duration(holdHalves * s.target() / 2) }

// reloadTime is how long a blocking reload waits for what does not come. hls.js gives a playlist up after three part targets or
// 0.8 target durations, whichever is longer, and its time counts from before ours.
func reloadTime(s *snapshot) time.Duration {
	return media.Duration(min(holdHalves*s.target()/2, max(5*s.partTarget/2, 3*s.target()/4)))
}

// playlist finds the playlist to answer with, when its time has come.
func (s *Stream) playlist(ctx context.Context, t *target, u *url.URL) (*page, error) {
	snap, err := s.wait(ctx, func(*snapshot) time.Duration { return s.o.Hold }, errNothing, func(n *snapshot) (bool, error) {
		if n.closed && !n.playable() {
			return false, errNotFound
		}
		return n.playable(), nil
	})
	if err != nil {
		return nil, err
	}
	k := pageKey{kind: t.kind, id: t.id}
	if t.kind == KindMultivariant {
		if t.id == "" && len(snap.epoch.lanes) == 0 || t.id == tsID && !snap.epoch.hasTS() {
			return nil, errNotFound
		}
		return snap.page(k), nil
	}
	if !snap.has(t.id) {
		return nil, errNotFound
	}
	q := u.Query()
	if v := q.Get("_HLS_skip"); v == "YES" || v == "v2" {
		k.skip = true
	}
	number, part, blocking, err := directives(q)
	if err != nil {
		return nil, err
	}
	if !blocking || t.id == tsID || !snap.blocks() {
		return snap.page(k), nil
	}
	if number > snap.last()+2 && !snap.closed {
		return nil, errAbsurd
	}
	snap, err = s.wait(ctx, reloadTime, errStalled, func(n *snapshot) (bool, error) {
		return n.playable() && (!n.blocks() || n.reached(t.id, number, part)), nil
	})
	if errors.Is(err, errStalled) && snap.playable() {
		// Players give up after some errors, but not after a playlist that has not changed.
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return snap.page(k), nil
}

// directives reads _HLS_msn and _HLS_part. A part that is not given is the first one: Safari asks so for low-latency
// playlists.
func directives(q url.Values) (msn uint64, part int64, blocking bool, err error) {
	m, p := q.Get("_HLS_msn"), q.Get("_HLS_part")
	if m == "" {
		if p != "" {
			return 0, 0, false, errAbsurd
		}
		return 0, 0, false, nil
	}
	if msn, err = strconv.ParseUint(m, 10, 62); err != nil {
		return 0, 0, false, errAbsurd
	}
	if p != "" {
		if part, err = strconv.ParseInt(p, 10, 32); err != nil || part < 0 {
			return 0, 0, false, errAbsurd
		}
	}
	return msn, part, true, nil
}
