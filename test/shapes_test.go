package test

import (
	"context"
	"testing"
	"time"

	"brume/test/relay"
	"brume/test/source"

	"github.com/stretchr/testify/require"
)

const (
	shapeLength = 64 * time.Second // of each clip: whole frames of pictures and 3000 of AAC
	loopedSound = " -c:a aac -frames:a 3000"
	// interlacedOpenGOP has a keyframe a second, most of which pictures that are shown before it follow.
	interlacedOpenGOP = "-r 25 -c:v libx264 -preset veryfast -flags +ilme+ildct -x264-params interlaced=1:open-gop=1:keyint=25:bframes=3 -pix_fmt yuv420p"
	everySecond       = "-c:v libx264 -preset veryfast -g 30 -bf 2 -pix_fmt yuv420p -b:v 300k" + loopedSound
	beforeWrap        = 1<<33 - 90*90000 // a minute and a half before time stamps wrap, in ticks
	ownPause          = 2 * time.Second  // of the encoder that reconnects
)

// shape is a stream as encoders send it in real life.
type shape struct {
	name       string
	clip       string // the shape whose clip it sends, if not one of its own
	args       string // of ffmpeg, for the clip
	start      int64  // added to its time stamps, in ticks
	speed      float64
	way        relay.Way
	query      string
	reconnects time.Duration // how often
	steady     bool          // pictures come so often that half a second without one is a freeze
	ffmpeg     bool          // Chromium can't decode it
}

var shapes = []shape{
	{name: "x264-defaults", steady: true, args: "-vf negate=enable='gt(mod(t,23),9)',hue=h=120:enable='gt(mod(t,17),14)' -c:v libx264 -pix_fmt yuv420p" + loopedSound},
	{name: "screen-capture", args: "-vf select='lt(mod(t,8),3)+not(mod(n,45))' -vsync vfr -c:v libx264 -preset veryfast -tune zerolatency -g 60 -pix_fmt yuv420p" + loopedSound},
	{name: "interlaced-open-gop", steady: true, args: interlacedOpenGOP + loopedSound},
	{name: "hevc", ffmpeg: true, args: "-c:v libx265 -preset ultrafast -x265-params keyint=30:log-level=error -pix_fmt yuv420p" + loopedSound},
	{name: "radio", args: "-map 1:a -b:a 64k" + loopedSound},
	{name: "camera-1-fps", args: "-map 0:v -r 1 -c:v libx264 -preset veryfast -tune zerolatency -g 4 -pix_fmt yuv420p"},
	{name: "loss", clip: "plain", steady: true, way: relay.Way{Loss: 0.05, Delay: 10 * time.Millisecond}, query: "&latency=120"},
	{name: "reconnects", clip: "plain", steady: true, reconnects: time.Minute},
	{name: "drift", clip: "plain", steady: true, speed: 1 - 200e-6},
	{name: "wrap", clip: "plain", steady: true, start: beforeWrap},
}

// encode makes the clip of a shape.
func (p *shape) encode(t *testing.T) *source.Clip {
	t.Helper()
	name, args := p.name, p.args
	if p.clip != "" {
		name, args = p.clip, everySecond
	}
	c, err := source.Read(clip(t, "shape-"+name, int(shapeLength.Seconds()), args), shapeLength)
	require.NoError(t, err)
	return c
}

// publisher sends a shape by srt-live-transmit.
type publisher struct {
	shape
	encoder source.Encoder
	url     string
	out     *piped
	cancel  func()
	ended   chan error
	began   time.Time
	hungUp  []time.Time // when it went away to come back
}

func (s *server) publishShape(p shape) *publisher {
	s.t.Helper()
	address := s.srt
	if p.way != (relay.Way{}) {
		address = through(s.t, s.srt, relay.Both(1, p.way)).Addr()
	}
	if p.speed == 0 {
		p.speed = 1
	}
	one := &publisher{
		shape: p, encoder: source.Encoder{Clip: p.encode(s.t), Start: p.start, Speed: p.speed},
		url: "srt://" + address + "?streamid=publish:" + p.name + p.query,
	}
	one.connect(s.t)
	s.t.Cleanup(func() { one.cancel() })
	return one
}

func (p *publisher) connect(t *testing.T) {
	t.Helper()
	p.out = liveTransmit(t, p.url)
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel, p.ended, p.began = cancel, make(chan error, 1), time.Now()
	go func() { p.ended <- p.encoder.Send(ctx, p.began, p.out) }()
}

// tend lets the encoder reconnect where that is its shape, and fails when it has ended by itself.
func (p *publisher) tend(t *testing.T) {
	t.Helper()
	select {
	case err := <-p.ended:
		require.FailNow(t, "a publisher ended", "%s: %v", p.name, err)
	default:
	}
	if p.reconnects == 0 || time.Since(p.began) < p.reconnects {
		return
	}
	p.cancel()
	require.NoError(t, <-p.ended)
	p.out.hangUp(t)
	p.hungUp = append(p.hungUp, time.Now())
	time.Sleep(ownPause)
	p.connect(t)
}

// beyondOwn takes from some stalls the encoder's own pauses: of all that stood within half a minute after it hung up. opened is the time from
// which the stalls count.
func (p *publisher) beyondOwn(opened time.Time, all []interval) (rest []interval) {
	left := make([]float64, len(p.hungUp))
	for i := range left {
		left[i] = ownPause.Seconds()
	}
	for _, s := range all {
		for i, at := range p.hungUp {
			since := at.Sub(opened).Seconds()
			if s.At+s.Seconds > since && s.At < since+30 {
				own := min(left[i], s.Seconds)
				left[i] -= own
				s.Seconds -= own
			}
		}
		if s.Seconds > 0 {
			rest = append(rest, s)
		}
	}
	return rest
}
