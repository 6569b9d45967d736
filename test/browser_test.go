package test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"brume/test/chromium"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser starts a headless Chromium that talks to nobody but us. What its pages say to the console is collected.
func browser(t *testing.T, width, height int) (context.Context, *logBuffer) {
	t.Helper()
	ctx, stop, err := chromium.Start(context.Background(), t.TempDir(), width, height)
	require.NoError(t, err)
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute+*soakTime)
	t.Cleanup(cancel)
	console := &logBuffer{}
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventConsoleAPICalled:
			for _, a := range e.Args {
				console.add(string(e.Type) + " " + string(a.Value))
			}
		case *runtime.EventExceptionThrown:
			console.add("exception " + e.ExceptionDetails.Error())
		}
	})
	return ctx, console
}

// evaluate runs a script in the page.
func evaluate[T any](ctx context.Context, t *testing.T, script string) T {
	t.Helper()
	var v T
	require.NoError(t, chromedp.Run(ctx, chromedp.Evaluate(script, &v)))
	return v
}

func screenshot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	var png []byte
	require.NoError(t, chromedp.Run(ctx, chromedp.CaptureScreenshot(&png)))
	if dir := os.Getenv("BRUME_SCREENSHOTS"); dir != "" {
		require.NoError(t, os.WriteFile(dir+"/"+name+".png", png, 0o644))
	}
	require.NotEmpty(t, png)
}

// TestPlayerPage opens the page before the stream is there; it plays by itself once it is, and goes on over the end of the http process.
func TestPlayerPage(t *testing.T) {
	s := start(t)
	ctx, console := browser(t, 1280, 800)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate("http://"+s.http+"/live.html")))
	state := func() string { return evaluate[string](ctx, t, "document.body.dataset.state || ''") }
	s.eventually(20*time.Second, "the page waits", func() bool { return state() == "waiting" })
	screenshot(ctx, t, "waiting")
	s.publish(plainClip(t), "live")
	s.eventually(30*time.Second, "the page plays", func() bool { return state() == "playing" })
	position := func() float64 { return evaluate[float64](ctx, t, "document.querySelector('video').currentTime") }
	size := evaluate[[]int](ctx, t, "(v => [v.videoWidth, v.videoHeight])(document.querySelector('video'))")
	require.Equal(t, []int{320, 180}, size)
	rate := func() float64 { return evaluate[float64](ctx, t, "document.querySelector('video').playbackRate") }
	s.eventually(60*time.Second, "it has caught up with what loading took", func() bool { return position() > 4 && rate() == 1 })
	p0, t0 := position(), time.Now()
	time.Sleep(30 * time.Second)
	p1, took := position(), time.Since(t0).Seconds()
	require.InDelta(t, took, p1-p0, 1)
	require.NoError(t, chromedp.Run(ctx, chromedp.KeyEvent("i"), chromedp.Sleep(1200*time.Millisecond)))
	require.Contains(t, evaluate[string](ctx, t, "document.querySelector('#panel').innerText"), "320×180")
	screenshot(ctx, t, "playing")
	require.NoError(t, chromedp.Run(ctx, chromedp.EmulateViewport(390, 844), chromedp.KeyEvent("l")))
	screenshot(ctx, t, "playing-phone")

	evaluate[float64](ctx, t, "document.querySelector('video').currentTime -= 1.2")
	s.eventually(20*time.Second, "it makes up for what it is behind", func() bool { return rate() > 1 })

	s.kill(s.one(" http"))
	time.Sleep(3 * time.Second)
	p2 := position()
	s.eventually(20*time.Second, "it plays on after the http process was replaced", func() bool { return position() > p2+5 })
	require.Equal(t, "playing", state())
	require.NotContains(t, strings.ToLower(console.String()), "fatal")
	require.NotContains(t, console.String(), "exception")
}

// TestPlayerPageSaysWhy opens the page of a stream whose source can't be reached: it says why, not where the source is, and
// plays once the source is there. When the source is gone, the page says why again.
func TestPlayerPageSaysWhy(t *testing.T) {
	t.Parallel()
	port := udpPort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	s := startWith(t, fmt.Sprintf("resume: 1s\nstreams: {live: {source: [\"srt://%s?conntimeo=500&streamid=read:hidden&passphrase=%s\"]}}\n", address, callSecret))
	ctx, console := browser(t, 1280, 800)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate("http://"+s.http+"/live.html")))
	state := func() string { return evaluate[string](ctx, t, "document.body.dataset.state || ''") }
	text := func() string { return evaluate[string](ctx, t, "document.body.textContent") }
	s.eventually(30*time.Second, "the page says why", func() bool {
		return strings.Contains(text(), "the source of this stream can't be reached: the connection timed out")
	})
	require.Equal(t, "waiting", state())
	screenshot(ctx, t, "dead-source")
	_, body, _ := s.fetch("/hls/live/index.m3u8")
	for _, hidden := range []string{address, strconv.Itoa(port), "hidden", callSecret} {
		require.NotContains(t, text(), hidden)
		require.NotContains(t, string(body), hidden)
		require.NotContains(t, console.String(), hidden)
	}
	source := loop(t, plainClip(t), fmt.Sprintf("srt://%s?mode=listener&passphrase=%s", address, callSecret))
	s.eventually(90*time.Second, "the page plays", func() bool { return state() == "playing" })
	source.end()
	s.eventually(90*time.Second, "the page says why it has ended", func() bool {
		return state() == "waiting" && regexp.MustCompile("the source of this stream (fell silent|can't be reached: the connection timed out)").MatchString(text())
	})
	s.requireSecret()
}

// TestFrontPage lists a live stream with a link to its player, says what is wrong with the source of another, and has lines for the
// name that is typed, as long as it is a name.
func TestFrontPage(t *testing.T) {
	s := startWith(t, fmt.Sprintf("streams: {pulled: {source: [\"srt://127.0.0.1:%d?conntimeo=500\"], start: always}}\n", udpPort(t)))
	ctx, console := browser(t, 390, 844)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate("http://"+s.api+"/")))
	s.eventually(20*time.Second, "the publish line is there", func() bool {
		return strings.Contains(evaluate[string](ctx, t, "document.body.innerText"), "srt://")
	})
	screenshot(ctx, t, "front-empty")
	s.publish(plainClip(t), "studio")
	s.eventually(30*time.Second, "the stream is listed", func() bool {
		return evaluate[int](ctx, t, `document.querySelectorAll('a[href$="/studio.html"]').length`) > 0
	})
	screenshot(ctx, t, "front-live")
	text := func() string { return evaluate[string](ctx, t, "document.body.innerText") }
	s.eventually(30*time.Second, "the page says why a source fails", func() bool {
		return strings.Contains(text(), "source failed: the peer did not answer")
	})
	enter := func(name string) {
		evaluate[bool](ctx, t, fmt.Sprintf("(f => (f.value = %q, f.dispatchEvent(new Event('input'))))(document.querySelector('#stream'))", name))
	}
	enter("cam+1")
	require.Contains(t, text(), "http://"+s.http+"/hls/cam+1/index.m3u8")
	require.Contains(t, text(), "?streamid=publish:cam+1'")
	enter("app/cam")
	require.Contains(t, text(), "A name has 1 to 100 letters")
	require.NotContains(t, text(), "srt://")
	enter("cam")
	require.NotContains(t, text(), "A name has")
	require.Contains(t, text(), "?streamid=read:cam'")
	require.LessOrEqual(t, evaluate[int](ctx, t, "document.documentElement.scrollWidth"), 390, "the page is wider than a phone")
	require.NotContains(t, console.String(), "exception")
}

// TestFrontPageNamesPorts: its lines name the first port that takes any stream for what the line does, and say where a passphrase is
// missing. Below them stands what holds at each port.
func TestFrontPageNamesPorts(t *testing.T) {
	s := startWith(t, fmt.Sprintf(`
srt:
  mode: play
  ports: [{address: "127.0.0.1:0", mode: publish, passphrase: a-long-secret}]
streams: {own: {push: ["srt://127.0.0.1:%d?mode=listener"]}}
access: [{action: any}]
`, udpPort(t)))
	ctx, _ := browser(t, 390, 844)
	require.NoError(t, chromedp.Run(ctx, chromedp.Navigate("http://"+s.api+"/")))
	text := ""
	s.eventually(20*time.Second, "the publish line is there", func() bool {
		text = evaluate[string](ctx, t, "document.body.innerText")
		return strings.Contains(text, "srt://")
	})
	require.Contains(t, text, "-f mpegts 'srt://"+s.ports[1]+"?streamid=publish:live&passphrase=PASSPHRASE'")
	require.Contains(t, text, "ffplay 'srt://"+s.srt+"?streamid=read:live'")
	require.NotContains(t, text, "srt://"+s.ports[2])
	for i, callers := range []string{
		"callers may play any stream, as the access entries allow; without a stream id it is live",
		"callers may publish any stream, as the access entries allow, with the passphrase of the port; without a stream id it is live",
		"callers may play own alone, as the access entries allow",
	} {
		require.Contains(t, text, s.ports[i]+": "+callers)
	}
}

// TestPageFollowsRenditions has a stream that begins with a picture alone, and gets sound while the page plays. No player loads the
// multivariant playlist again by itself.
func TestPageFollowsRenditions(t *testing.T) {
	s := start(t)
	silent := s.publish(clip(t, "silent", 60, "-map 0:v -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -b:v 400k"), "live")
	s.waitPlayable("live")
	one := newPlayers(t).page(s, "/live.html")
	one.until(30*time.Second, "it plays", func(v seen) bool { return v.Played > 2 })
	require.Zero(t, one.look().Sound)
	silent.end()
	s.waitState("live", "offline")
	s.publish(plainClip(t), "live")
	one.until(30*time.Second, "it plays with sound", func(v seen) bool { return v.Sound > 0 && v.State == "playing" })
}

// TestPageBeginsAnew takes the source away from the page's video, as a decode error does, and then the player's means to go on, while the stream does.
// The page says when it stands still, and begins anew.
func TestPageBeginsAnew(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "live")
	s.waitPlayable("live")
	one := newPlayers(t).page(s, "/live.html")
	plays := func(after float64) seen {
		t.Helper()
		return one.until(time.Minute, "it plays", func(v seen) bool { return v.Played > after+2 && v.State == "playing" })
	}
	before := plays(0)
	evaluate[any](one.ctx, t, "(v => { v.removeAttribute('src'); v.load() })(document.querySelector('video'))")
	before = plays(before.Played)

	evaluate[any](one.ctx, t, "(p => { window.append = p.appendBuffer; p.appendBuffer = () => {} })(SourceBuffer.prototype)")
	stalled := one.until(20*time.Second, "it says that it stands still", func(v seen) bool { return v.State == "stalled" })
	require.Greater(t, stalled.Played, before.Played)
	evaluate[any](one.ctx, t, "SourceBuffer.prototype.appendBuffer = window.append; undefined")
	before = plays(stalled.Played)
	require.Contains(t, strings.Join(before.Messages, "\n"), "Playback begins anew: it stands still, and the stream goes on.")

	// Another source that comes while the video is about to play ends the attempt.
	evaluate[any](one.ctx, t, `((v, p) => {
		const play = p.play
		p.play = () => Promise.reject(new DOMException('', 'AbortError'))
		setTimeout(() => (p.play = play), 1500)
		v.removeAttribute('src')
		v.load()
	})(document.querySelector('video'), HTMLMediaElement.prototype)`)
	plays(before.Played)
}

// TestPagePauses pauses and plays by the video itself, as the keys of a keyboard do, and by the page.
func TestPagePauses(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "live")
	s.waitPlayable("live")
	one := newPlayers(t).page(s, "/live.html")
	one.until(time.Minute, "it plays", func(v seen) bool { return v.Played > 2 && v.State == "playing" })
	for _, by := range []struct{ pause, play string }{
		{"document.querySelector('video').pause()", "document.querySelector('video').play(); undefined"},
		{"document.querySelector('#play').click()", "document.querySelector('#play').click()"},
	} {
		evaluate[any](one.ctx, t, by.pause)
		paused := one.until(20*time.Second, "it is paused", func(v seen) bool { return v.State == "paused" })
		time.Sleep(2 * time.Second)
		still := one.look()
		require.Equal(t, "paused", still.State, by.pause)
		require.InDelta(t, paused.Position, still.Position, 0.1, by.pause)
		evaluate[any](one.ctx, t, by.play)
		one.until(20*time.Second, "it plays on", func(v seen) bool { return v.Played > still.Played+1 && v.State == "playing" })
	}
}

// TestPageHandsOnItsQuery opens the pages of a stream whose name has a +, escaped and plain, with what a proxy may ask for.
func TestPageHandsOnItsQuery(t *testing.T) {
	s := start(t)
	media, err := os.ReadFile(plainClip(t))
	require.NoError(t, err)
	s.send("publish:live+room1", media, time.Minute)
	s.waitPlayable("live+room1")
	all := newPlayers(t)
	for _, path := range []string{"/live+room1.html?token=abc", "/live%2Broom1.html?token=abc"} {
		one := all.page(s, path)
		one.until(30*time.Second, "it plays", func(v seen) bool { return v.Played > 1 })
		asked := evaluate[[]string](one.ctx, t, "performance.getEntriesByType('resource').map((e) => e.name)")
		require.Contains(t, asked, "http://"+s.http+"/hls/live+room1/index.m3u8?token=abc")
		require.NotContains(t, asked, "http://"+s.http+"/hls/live+room1/index.m3u8")
	}
}
