package test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"brume/media/ts"

	"github.com/stretchr/testify/require"
)

var withPlayers = flag.Bool("players", false, "run TestPlayers, whose twenty players at a time need a machine of their own")

// The kinds of players.
const (
	playerPage  = "page"
	playerLow   = "hls.js, low latency"
	playerPlain = "hls.js"
	playerTS    = "hls.js, MPEG-TS"
)

var playerKinds = []string{playerPage, playerLow, playerPlain, playerTS}

// trial is a kind of stream that players have to get along with.
type trial struct {
	name  string
	media func(t *testing.T) []byte
	pause float64 // the longest time in which one of the tracks has nothing, in seconds
	still float64 // the longest time from one picture to the next besides, in seconds
	joins []int   // when the players are opened anew, in seconds of the stream
	jumps bool    // its times go back, which ffmpeg does not follow where picture and sound are renditions of their own
}

const (
	trialSeconds = 66  // of media in short
	slack        = 10. // seconds that a player on a loaded machine may need on top
	fastH264     = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 300k -muxdelay 0 "
	withAAC      = "-c:a aac -b:a 96k "
	withMP3      = "-c:a libmp3lame -b:a 96k "
)

// made is a clip that ffmpeg makes with the arguments behind its inputs.
func made(name, args string) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		b, err := os.ReadFile(clip(t, "trial-"+name, trialSeconds, args))
		require.NoError(t, err)
		return b
	}
}

// gaps takes what lies in gaps of the given lengths out of a clip with the given sound, 7 s apart and the first at 12 s, of the tracks that which chooses. The clock
// of a track that is missing alone goes on.
func gaps(audio string, lengths []float64, which func(pid uint16) bool) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		seconds := 30
		for _, l := range lengths {
			seconds += int(l + 8)
		}
		name := fmt.Sprintf("gaps%d-%s", seconds, strings.Fields(audio)[1])
		whole, err := os.ReadFile(clip(t, name, seconds, fastH264+"-g 30 -bf 2 "+audio))
		require.NoError(t, err)
		return filter(whole, func(p []byte, at float64) bool {
			for from, i := 12.0, 0; i < len(lengths); from, i = from+lengths[i]+7, i+1 {
				if at < from || at >= from+lengths[i] || !which(pidOf(p)) {
					continue
				}
				if _, ok := pcrOf(p); !ok || which(pidPMT) {
					return false
				}
				clockAlone(p)
			}
			return true
		})
	}
}

// clockAlone takes all out of a packet but its PCR.
func clockAlone(p []byte) {
	p[1] &= 0x1F
	p[3] = 0x20 | (p[3]-1)&15 // a packet without payload has the counter of the one before it
	p[4], p[5] = ts.PacketSize-5, 0x10
	for i := 12; i < ts.PacketSize; i++ {
		p[i] = 0xFF
	}
}

func everything(uint16) bool    { return true }
func onlyVideo(pid uint16) bool { return pid == pidVideo }
func onlyAudio(pid uint16) bool { return pid == pidVideo+1 }

var trials = []trial{
	{name: "gaps", media: gaps(withAAC, []float64{1.5, 2.5, 0.1, 3.4, 4.5}, everything), pause: 4.5},
	{name: "gaps-video", media: gaps(withAAC, []float64{1.5, 3.4, 4.5}, onlyVideo), pause: 4.5},
	{name: "gaps-audio", media: gaps(withAAC, []float64{1.5, 3.4, 4.5}, onlyAudio), pause: 4.5},
	{name: "gap10", media: gaps(withAAC, []float64{10}, everything), pause: 10},
	{name: "gap30", media: gaps(withAAC, []float64{30}, everything), pause: 30},
	{name: "gap10-video", media: gaps(withAAC, []float64{10}, onlyVideo), pause: 10},
	{name: "gap30-video", media: gaps(withAAC, []float64{30}, onlyVideo), pause: 30},
	{name: "gap10-audio", media: gaps(withAAC, []float64{10}, onlyAudio), pause: 10},
	{name: "gap10-mp3", media: gaps(withMP3, []float64{10}, onlyAudio), pause: 10},
	{name: "gap30-audio", media: gaps(withAAC, []float64{30}, onlyAudio), pause: 30},
	{name: "fps0.5", media: made("fps0.5", "-vf fps=0.5 "+fastH264+"-tune zerolatency -g 1 "+withAAC), still: 2},
	{name: "fps0.2", media: made("fps0.2", "-map 0:v -vf fps=0.2 "+fastH264+"-tune zerolatency -g 1"), still: 5},
	{name: "slides", media: made("slides", "-vf fps=0.1 "+fastH264+"-tune zerolatency -g 1 "+withAAC), still: 10},
	{name: "pauses", media: made("pauses", `-vf select=not(between(mod(t\,10)\,6.01\,9.41)) -fps_mode vfr `+fastH264+
		"-sc_threshold 0 -g 250 -force_key_frames expr:gte(t,n_forced) "+withAAC), pause: 3.4},
	{
		name: "gop8", media: made("gop8", fastH264+"-sc_threshold 0 -g 250 -force_key_frames 0,1,9,17,25,33,41,49,57 "+withAAC), joins: []int{21, 36},
	},
	{name: "scenecuts", media: made("scenecuts", `-vf negate=enable=between(t\,4\,13)+between(t\,15\,15.6)+between(t\,27\,47) `+
		"-c:v libx264 -preset veryfast -pix_fmt yuv420p "+withAAC), joins: []int{24, 38}},
	{name: "refresh", media: made("refresh", fastH264+"-x264-params intra-refresh=1:keyint=50:bframes=0:scenecut=0 "+withAAC)},
	{name: "sparse-audio", media: made("sparse-audio", fastH264+"-g 30 -c:a aac -b:a 24k")},
	{name: "jumps", media: jumping, jumps: true},
	{name: "losses", media: losses(made("losses", fastH264+"-g 30 -bf 2 "+withAAC)), pause: 2},
	{name: "losses-open-gop", media: losses(made("open-gop", interlacedOpenGOP+" "+withAAC)), pause: 2},
}

// losses loses seven packets, as many as SRT sends together, each 2.5 s or so.
func losses(media func(t *testing.T) []byte) func(t *testing.T) []byte {
	return func(t *testing.T) []byte {
		rnd, n, next := rand.New(rand.NewPCG(1, 2)), 0, 3.0
		return filter(media(t), func(_ []byte, at float64) bool {
			if at > next {
				n, next = 7, at+5*rnd.Float64()
			}
			n--
			return n < 0
		})
	}
}

// jumping comes back to a piece that begins in mid-GOP, again and again.
func jumping(t *testing.T) []byte {
	_, b := longGOP(t)
	at := pictureStarts(b)
	piece := slices.Concat(b[:3*ts.PacketSize], b[at[200]:at[500]])
	return slices.Concat(b[:at[400]], piece, piece, piece, piece, piece)
}

// judgement is what came of a trial's players.
type judgement struct {
	mu     sync.Mutex
	faults []string
}

func (j *judgement) fault(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// TestPlayers publishes streams of many shapes and plays each in several players. Each plays on after all that happens in its stream, never stands
// still for longer than the stream gives reason to, and shows pictures to the end. A shape takes about 70 s alone, and the whole some ten minutes.
func TestPlayers(t *testing.T) {
	if !*withPlayers {
		t.Skip("make players runs it")
	}
	s := start(t)
	all := newPlayers(t)
	for _, h := range trials {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			h.play(t, s.in(t), all.in(t))
		})
	}
}

func (h trial) play(t *testing.T, s *server, tabs *players) {
	b := h.media(t)
	due := pace(b)
	var opened []*player
	for _, kind := range playerKinds {
		if kind != playerTS || h.still == 0 { // in MPEG-TS hls.js takes a picture that is alone in its segment for 1/30 s
			opened = append(opened, tabs.kind(kind, s, h.name))
		}
	}
	stop := s.publishBytes(t, h.name, b)
	j := &judgement{}
	var done sync.WaitGroup
	done.Go(func() { h.judge(j, opened, due[len(due)-1]) })
	for _, out := range []string{"hls", "ts"} {
		if out == "ts" && h.still > 5 || out == "hls" && h.jumps { // ffmpeg waits for a second picture for 5 s
			continue
		}
		done.Go(func() { h.judgeRecording(t, j, s.outputs(h.name)[out]) })
	}
	s.waitPlayable(h.name)
	done.Wait()
	for _, f := range j.faults {
		t.Error(f)
	}
	stop()
}

func (p *players) kind(kind string, s *server, stream string) *player {
	switch out := s.outputs(stream); kind {
	case playerPage:
		return p.page(s, "/"+stream+".html")
	case playerTS:
		return p.hls(out["ts"], false)
	default:
		return p.hls(out["hls"], kind == playerLow)
	}
}

// judge looks at the players until the stream is nearly over.
func (h trial) judge(j *judgement, all []*player, length time.Duration) {
	began := time.Now()
	for _, at := range h.joins {
		time.Sleep(time.Until(began.Add(time.Duration(at) * time.Second)))
		for _, p := range all {
			h.standstills(j, p)
			if err := p.reload(); err != nil {
				j.fault("%s: %s", p.name, err)
			}
		}
	}
	time.Sleep(time.Until(began.Add(length - 15*time.Second)))
	before := map[*player]seen{}
	for _, p := range all {
		before[p] = h.standstills(j, p)
	}
	for _, p := range all {
		last, ok := p.reaches(slack*time.Second, func(v seen) bool {
			return v.Played > before[p].Played+2 && (v.Pictures > before[p].Pictures || h.still > 0 && v.Pictures > 0)
		})
		if !ok {
			j.fault("%s does not go on: %s", p.name, last)
		}
	}
}

// standstills looks for fatal errors, and for what stood still for too long.
func (h trial) standstills(j *judgement, p *player) seen {
	v, err := p.see()
	if err != nil {
		j.fault("%s: %s", p.name, err)
		return v
	}
	bad := slices.ContainsFunc(v.Messages, func(m string) bool { return strings.Contains(m, "FATAL") })
	for _, i := range v.Stalls {
		bad = bad || i.Seconds > h.pause+slack
	}
	for _, i := range v.Freezes {
		bad = bad || i.Seconds > h.pause+h.still+slack
	}
	if bad || v.Started < 0 {
		j.fault("%s stands still for too long: %s", p.name, v)
	}
	return v
}

// judgeRecording records a part of the stream by ffmpeg that has all that happens in it.
func (h trial) judgeRecording(t *testing.T, j *judgement, url string) {
	const seconds = 25
	file := filepath.Join(t.TempDir(), "out.mkv")
	time.Sleep(8 * time.Second)
	for range 10 {
		r := record(t, url, file, seconds)
		select {
		case <-r.done:
		case <-time.After(time.Duration(seconds+h.pause+h.still+2*slack) * time.Second):
			j.fault("ffmpeg hangs at %s: %s", url, r.out.String())
			return
		}
		if r.err == nil {
			if said := strings.ToLower(r.out.String()); strings.Contains(said, "non-monoton") {
				j.fault("ffmpeg at %s: %s", url, said)
			}
			return
		}
		time.Sleep(time.Second) // it has not begun
	}
	j.fault("ffmpeg does not play %s", url)
}
