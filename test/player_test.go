package test

import (
	"context"
	_ "embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/judge.js
var judgeScript string

// players is a Chromium with a tab for each player.
type players struct {
	t     *testing.T
	ctx   context.Context
	alone string // address of a page that has hls.js alone
}

func newPlayers(t *testing.T) *players {
	t.Helper()
	files := http.NewServeMux()
	files.HandleFunc("/hls.html", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/hls.html") })
	files.HandleFunc("/hls.min.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, "../web/node_modules/hls.js/dist/hls.min.js")
	})
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	ctx, _ := browser(t, 640, 360)
	return &players{t: t, ctx: ctx, alone: server.URL}
}

// in is the same Chromium for another test, whose tabs are closed when it ends.
func (p *players) in(t *testing.T) *players { return &players{t: t, ctx: p.ctx, alone: p.alone} }

// player is one tab that plays a stream.
type player struct {
	t    *testing.T
	name string
	ctx  context.Context
}

// interval is a time that something lasted. A jump's seconds are negative where it went back.
type interval struct {
	At      float64 `json:"at"`
	Seconds float64 `json:"seconds"`
}

// seen is what a player's page has seen since it was opened, in seconds. See testdata/judge.js.
type seen struct {
	Now      float64      `json:"now"`     // since the page was opened
	Started  float64      `json:"started"` // when the position first went on; -1 before
	Position float64      `json:"position"`
	Played   float64      `json:"played"`  // what the position went on by itself
	Stalls   []interval   `json:"stalls"`  // the position stood still
	Freezes  []interval   `json:"freezes"` // no picture was decoded
	Jumps    []interval   `json:"jumps"`
	Pictures int          `json:"pictures"`
	Width    int          `json:"width"`
	Sound    int          `json:"sound"` // bytes that were decoded
	Ready    int          `json:"ready"`
	Buffered [][2]float64 `json:"buffered"`
	Repeats  int          `json:"repeats"` // how often the segment or part was asked for that was asked for most often
	State    string       `json:"state"`   // of the player page
	Text     string       `json:"text"`
	Messages []string     `json:"messages"` // errors of hls.js, warnings of the page
}

func total(all []interval) (sum float64) {
	for _, i := range all {
		sum += i.Seconds
	}
	return sum
}

func (s seen) String() string {
	return fmt.Sprintf("after %.1f s: started %.1f, position %.2f, played %.2f, stalls %.2f, freezes %.2f, jumps %.2f, %d pictures of width %d, %d bytes of sound, ready %d, buffered %.2f, asked for the same %d times, %s %q %q",
		s.Now, s.Started, s.Position, s.Played, s.Stalls, s.Freezes, s.Jumps, s.Pictures, s.Width, s.Sound, s.Ready, s.Buffered, s.Repeats, s.State, s.Text, s.Messages)
}

func (p *players) open(name, address string) *player {
	p.t.Helper()
	ctx, closeTab := chromedp.NewContext(p.ctx)
	p.t.Cleanup(closeTab)
	one := &player{t: p.t, name: name, ctx: ctx}
	require.NoError(p.t, chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(judgeScript).Do(ctx)
		return err
	}), chromedp.Navigate(address)))
	return one
}

// page opens the player page. The path is what follows the server's address.
func (p *players) page(s *server, path string) *player {
	p.t.Helper()
	return p.open("page "+path, "http://"+s.http+path)
}

// hls opens hls.js alone with its defaults, in low latency mode or not.
func (p *players) hls(address string, low bool) *player {
	p.t.Helper()
	return p.open(fmt.Sprintf("hls.js low latency %t %s", low, address), p.alone+"/hls.html?low="+fmt.Sprint(low)+"&url="+url.QueryEscape(address))
}

func (p *player) see() (v seen, err error) {
	return v, chromedp.Run(p.ctx, chromedp.Evaluate("judged()", &v))
}

func (p *player) look() seen {
	p.t.Helper()
	v, err := p.see()
	require.NoError(p.t, err, p.name)
	return v
}

// reload opens the player's page anew.
func (p *player) reload() error { return chromedp.Run(p.ctx, chromedp.Reload()) }

// reaches waits for what a player must come to, and returns what was seen last.
func (p *player) reaches(limit time.Duration, ok func(seen) bool) (seen, bool) {
	for deadline := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		v, err := p.see()
		if err == nil && ok(v) {
			return v, true
		}
		if err != nil || time.Now().After(deadline) {
			return v, false
		}
	}
}

// until is reaches for a test that ends where it does not come true.
func (p *player) until(limit time.Duration, what string, ok func(seen) bool) seen {
	p.t.Helper()
	v, done := p.reaches(limit, ok)
	if !done {
		require.FailNow(p.t, "did not come true within "+limit.String()+": "+what, "%s: %s", p.name, v)
	}
	return v
}

// TestPlayersBegin opens players before the publisher comes: they play the stream from its first segment on, and ask for each piece of it once, or
// twice where one comes late.
func TestPlayersBegin(t *testing.T) {
	s := start(t)
	tabs := newPlayers(t)
	var all []*player
	for _, kind := range playerKinds {
		all = append(all, tabs.kind(kind, s, "live"))
	}
	s.publish(plainClip(t), "live")
	for _, p := range all {
		v := p.until(30*time.Second, "it plays", func(v seen) bool { return v.Played > 3 })
		require.LessOrEqual(t, v.Repeats, 3, "%s asks for the same again and again: %s", p.name, v)
	}
}

// holeScript takes a second of what a paused player has loaded away, from a second behind its position on, and lets it wait for ever when it asks for
// that again.
const holeScript = `(() => {
  const video = document.querySelector('video')
  const number = (url) => +(/\/(?:part|seg)-\d+-(\d+)/.exec(url)?.[1] ?? -1)
  const { open, send } = XMLHttpRequest.prototype
  let newest = Math.max(...performance.getEntriesByType('resource').map((e) => number(e.name)))
  let below = -1
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    this.number = number(url)
    newest = Math.max(newest, this.number)
    return open.call(this, method, url, ...rest)
  }
  XMLHttpRequest.prototype.send = function (...all) {
    if (this.number < 0 || this.number >= below) send.apply(this, all)
  }
  const { appendBuffer } = SourceBuffer.prototype
  const buffers = new Set()
  SourceBuffer.prototype.appendBuffer = function (data) {
    buffers.add(this)
    return appendBuffer.call(this, data)
  }
  const timer = setInterval(() => {
    if (buffers.size < 2 || [...buffers].some((b) => b.updating)) return
    clearInterval(timer)
    below = newest
    for (const b of buffers) b.remove(video.currentTime + 1, video.currentTime + 2)
  }, 20)
})()`

// TestPagePassesAHole has a hole in what the page has loaded that hls.js waits at: the page goes on behind it, and does not begin anew.
func TestPagePassesAHole(t *testing.T) {
	s := start(t)
	s.publish(plainClip(t), "live")
	s.waitPlayable("live")
	one := newPlayers(t).page(s, "/live.html")
	one.until(time.Minute, "it plays", func(v seen) bool { return v.Played > 2 && v.State == "playing" })
	evaluate[any](one.ctx, t, "document.querySelector('video').pause()")
	ahead := func(v seen) float64 { return v.Buffered[len(v.Buffered)-1][1] - v.Position }
	one.until(time.Minute, "enough is loaded", func(v seen) bool { return ahead(v) > 6 })
	evaluate[any](one.ctx, t, holeScript)
	holed := one.until(time.Minute, "there is a hole", func(v seen) bool { return len(v.Buffered) == 2 })
	evaluate[any](one.ctx, t, "document.querySelector('video').play(); undefined")
	v := one.until(time.Minute, "it plays on", func(v seen) bool { return v.Position > holed.Buffered[1][0]+3 && v.State == "playing" })
	said := strings.Join(v.Messages, "\n")
	require.Contains(t, said, "passes a hole")
	require.NotContains(t, said, "begins anew")
}
