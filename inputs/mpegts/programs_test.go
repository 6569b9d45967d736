package mpegts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"brume/media"
	"brume/media/ts"
)

// sdt writes an SDT: program number and name of each service.
func (c *crafter) sdt(version byte, services ...any) *crafter {
	b := []byte{0, 1, 0xFF}
	for i := 0; i < len(services); i += 2 {
		name := services[i+1].(string)
		d := append([]byte{1, 3, 'T', 'e', 'l', byte(len(name))}, name...)
		b = binary.BigEndian.AppendUint16(b, uint16(services[i].(int)))
		b = append(b, 0xFC, 0x80, byte(len(d)+2), ts.DescriptorService, byte(len(d)))
		b = append(b, d...)
	}
	return c.table(ts.PIDSDT, section(ts.TableSDT, 1, version, b))
}

// The second of two programs.
const (
	pidPMT2   = 0x200
	pidVideo2 = 0x201
)

var onlyVideo2 = []es{{ts.StreamTypeH264, pidVideo2, ""}}

// both writes units of both programs.
func (c *crafter) both(t int64) *crafter {
	c.gop(t, 2)
	return c.split(pidVideo2, pesBytes(ts.StreamIDVideo, t, none, false, idr(100)))
}

func pids(r *recorder) (list []uint16) {
	for _, e := range r.epochs {
		list = append(list, e.Tracks[0].PID)
	}
	return list
}

func TestServiceIsChosen(t *testing.T) {
	tables := func() *crafter {
		c := craft().pat(0, 7, pidPMT, 9, pidPMT2)
		c.table(pidPMT, pmt(7, 0, pidVideo, onlyVideo...))
		return c.table(pidPMT2, pmt(9, 0, pidVideo2, onlyVideo2...))
	}
	again := func(c *crafter) *crafter {
		return c.table(pidPMT2, pmt(9, 0, pidVideo2, onlyVideo2...)).table(pidPMT, pmt(7, 0, pidVideo, onlyVideo...))
	}
	for _, c := range []struct {
		name    string
		service string
		in      *crafter
		pids    []uint16
		missing bool
	}{
		{"before the PAT", "Sport", again(craft().sdt(0, 7, "News", 9, "Sport").pat(0, 7, pidPMT, 9, pidPMT2)).both(90000), []uint16{pidVideo2}, false},
		{"after it", "Sport", again(tables().both(90000).sdt(0, 7, "News", 9, "Sport")).both(180000), []uint16{pidVideo2}, false},
		{"in another coding", "Süd", again(tables().sdt(0, 7, "S\xC8ud", 9, "Sport")).both(90000), []uint16{pidVideo}, false},
		{"not there", "Weather", again(tables().sdt(0, 7, "News", 9, "Sport")).both(90000), nil, true},
		{"no SDT", "Sport", tables().both(90000), nil, true},
		{
			"the name moves", "Sport", again(again(tables().sdt(0, 7, "News", 9, "Sport")).both(90000).sdt(1, 7, "Sport", 9, "News")).both(97200),
			[]uint16{pidVideo2, pidVideo},
			false,
		},
		{"the name is lost", "Sport", again(again(tables().sdt(0, 7, "News", 9, "Sport")).both(90000).sdt(1, 7, "News")).both(97200), []uint16{pidVideo2}, false},
		{"stuffing and another SDT on its PID", "Sport", again(tables().table(ts.PIDSDT, []byte{0x72, 0x30, 2, 0xFF, 0xFF}).
			table(ts.PIDSDT, section(0x46, 1, 0, []byte{0, 1, 0xFF})).sdt(0, 9, "Sport")).both(90000), []uint16{pidVideo2}, false},
		{"an SDT of another stream", "Sport", again(tables().table(ts.PIDSDT, section(0x46, 1, 0, []byte{0, 1, 0xFF}))).both(90000), nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &recorder{}
			d := NewDemuxer(r, Options{Service: c.service})
			require.NoError(t, d.Write(c.in.buf))
			require.False(t, d.Missing(), "an SDT may still come")
			d.SetTime(4 * time.Second)
			require.NoError(t, d.Flush())
			require.Equal(t, c.missing, d.Missing())
			require.Equal(t, c.pids, pids(r))
			require.Zero(t, d.Stats().TableErrors)
		})
	}
}

// TestFirstProgramThatIsWorthIt: what is scrambled or has nothing to show does not keep from what comes behind it.
func TestFirstProgramThatIsWorthIt(t *testing.T) {
	scrambled := pmt(7, 0, pidVideo, es{ts.StreamTypeH264, pidVideo, "\x09\x04\x0B\x00\xE5\x00"})
	second := pmt(9, 0, pidVideo2, onlyVideo2...)
	for _, c := range []struct {
		name  string
		first []byte // PMT
		pid   uint16
	}{
		{"it is", pmt(7, 0, pidVideo, onlyVideo...), pidVideo},
		{"a scrambled stream", scrambled, pidVideo2},
		{"teletext alone", pmt(7, 0, 0x1FFF, es{ts.StreamTypePrivate, pidMore, "\x56\x05deu\x09\x00"}), pidVideo2},
		{"nothing", pmt(7, 0, 0x1FFF), pidVideo2},
	} {
		for _, order := range []bool{true, false} {
			t.Run(fmt.Sprint(c.name, " ", order), func(t *testing.T) {
				in := craft().pat(0, 7, pidPMT, 9, pidPMT2)
				if order {
					in.table(pidPMT, c.first).table(pidPMT2, second)
				} else {
					in.table(pidPMT2, second).table(pidPMT, c.first)
				}
				in.both(90000).table(pidPMT, c.first).table(pidPMT2, second).both(180000)
				r, d := demux(t, in.buf, Options{})
				require.NotEmpty(t, r.epochs)
				require.Equal(t, c.pid, r.epochs[0].Tracks[0].PID)
				require.Len(t, r.epochs, 1)
				require.Equal(t, map[bool]uint16{true: 7, false: 9}[c.pid == pidVideo], d.Program())
			})
		}
	}
	t.Run("its PMT never comes", func(t *testing.T) {
		r := &recorder{}
		d := NewDemuxer(r, Options{})
		in := craft().pat(0, 7, pidPMT, 9, pidPMT2).table(pidPMT2, second).both(90000)
		require.NoError(t, d.Write(in.buf))
		require.Empty(t, r.epochs)
		d.SetTime(maxWait)
		in.buf = nil
		require.NoError(t, d.Write(in.table(pidPMT2, second).both(180000).buf))
		require.NoError(t, d.Flush())
		require.Equal(t, []uint16{pidVideo2}, pids(r))
	})
	t.Run("all scrambled", func(t *testing.T) {
		in := craft().tables(0)
		in.buf = nil
		in.pat(0, 7, pidPMT).table(pidPMT, scrambled).gop(90000, 2)
		r, _ := demux(t, in.buf, Options{}) // its descriptor may lie: it is all there is
		require.Equal(t, []uint16{pidVideo}, pids(r))
	})
	t.Run("it loses its tracks later", func(t *testing.T) {
		in := craft().pat(0, 7, pidPMT, 9, pidPMT2).table(pidPMT, pmt(7, 0, pidVideo, onlyVideo...)).table(pidPMT2, second).both(90000)
		in.table(pidPMT, pmt(7, 1, pidVideo)).table(pidPMT2, second).both(97200)
		_, d := demux(t, in.buf, Options{})
		require.EqualValues(t, 7, d.Program(), "a stream does not become another by itself")
	})
}

func TestProgramsAreListed(t *testing.T) {
	in := craft().sdt(0, 9, "Sport", 8, "Gone").pat(0, 7, pidPMT, 9, pidPMT2)
	_, d := demux(t, in.buf, Options{})
	require.Equal(t, []Program{{Number: 7, PMT: pidPMT}, {Number: 9, PMT: pidPMT2, Name: "Sport", Provider: "Tel"}}, d.Programs())
	n := d.Changes()
	in = craft().sdt(0, 9, "Sport", 8, "Gone").pat(0, 7, pidPMT, 9, pidPMT2) // once more
	require.NoError(t, d.Write(in.buf))
	require.Equal(t, n, d.Changes())
	require.NoError(t, d.Write(craft().pat(1, 9, pidPMT2).buf))
	require.Greater(t, d.Changes(), n)
	require.Len(t, d.Programs(), 1)
}

// TestManyPrograms: a PAT of several sections with more programs than are kept.
func TestManyPrograms(t *testing.T) {
	const sections, each, wanted = 3, 60, 150
	write := func(c *crafter, first int) *crafter {
		for i := range sections {
			var b []byte
			for j := range each {
				n := uint16(first + i*each + j)
				b = binary.BigEndian.AppendUint16(b, n)
				b = binary.BigEndian.AppendUint16(b, 0xE000|0x400+n)
			}
			s := section(ts.TablePAT, 1, byte(first), b)
			s[6], s[7] = byte(i), sections-1
			c.table(ts.PIDPAT, ts.AppendCRC32(s[:len(s)-4]))
		}
		return c
	}
	c := write(craft(), 1)
	c.table(0x400+wanted, pmt(wanted, 0, pidVideo, onlyVideo...)).gop(90000, 2)
	r, d := demux(t, c.buf, Options{Program: wanted})
	require.Equal(t, []uint16{pidVideo}, pids(r))
	require.Len(t, d.Programs(), maxPrograms)
	require.EqualValues(t, wanted, d.Program())

	// It changes again and again: what is not in it any more is forgotten.
	d = NewDemuxer(&nothing{}, Options{})
	for first := 1; first < 200; first += 11 {
		require.NoError(t, d.Write(write(craft(), first).buf))
	}
	used := 0
	for _, s := range d.slots {
		if s != nil {
			used++
		}
	}
	require.LessOrEqual(t, used, maxPrograms+3, "PAT, SDT, and what is taken")
}

// TestManyServices: an SDT of more services than are kept.
func TestManyServices(t *testing.T) {
	d := NewDemuxer(&nothing{}, Options{})
	for i := range 40 {
		var list []any
		for j := range 20 {
			list = append(list, i*20+j+1, "x")
		}
		c := craft().sdt(0, list...)
		s := bytes.Clone(c.buf[5:])
		s = s[:3+int(binary.BigEndian.Uint16(s[1:])&0xFFF)]
		s[6], s[7] = byte(i), 39
		require.NoError(t, d.sdtSection(ts.AppendCRC32(s[:len(s)-4])))
	}
	require.Len(t, d.services, maxServices)
}

// nullPacket is padding that can be told from other.
func (c *crafter) nullPacket(n int) *crafter {
	return c.packet(ts.PIDNull, false, nil, bytes.Repeat([]byte{byte(n)}, 184))
}

// TestRawIsTheInput: however it is cut, and whatever is in it.
func TestRawIsTheInput(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := craft().tables(0, withAudio...)
		for i := range rapid.IntRange(1, 30).Draw(rt, "groups") {
			in.gop(90000+7200*int64(i), 2).nullPacket(i)
			if rapid.Bool().Draw(rt, "stranger") {
				in.packet(uint16(rapid.IntRange(3, 0x1FFE).Draw(rt, "PID")), rapid.Bool().Draw(rt, "start"), nil, fill(nil, 184))
			}
		}
		var got []byte
		d := NewDemuxer(&nothing{}, Options{Raw: func(p []byte) {
			require.Zero(t, len(p)%ts.PacketSize)
			require.NotEmpty(t, p)
			got = append(got, p...)
		}})
		for b := in.buf; len(b) > 0; {
			n := min(rapid.IntRange(1, 2000).Draw(rt, "cut"), len(b))
			require.NoError(t, d.Write(b[:n]))
			b = b[n:]
		}
		require.NoError(t, d.Flush())
		require.True(t, bytes.Equal(in.buf, got))
		require.EqualValues(t, len(got)/ts.PacketSize, d.Stats().Packets)
	})
}

// TestRawLeavesOutWhatIsBetweenPackets and nothing else.
func TestRawLeavesOutWhatIsBetweenPackets(t *testing.T) {
	in := craft().tables(0, withAudio...).gop(90000, 20)
	var want, torn, got []byte
	for i := 0; i < len(in.buf); i += ts.PacketSize {
		if i/ts.PacketSize%25 == 10 {
			torn = append(torn, "no packet at all"...)
		}
		torn = append(torn, in.buf[i:i+ts.PacketSize]...)
		want = append(want, in.buf[i:i+ts.PacketSize]...)
	}
	d := NewDemuxer(&nothing{}, Options{Raw: func(p []byte) { got = append(got, p...) }})
	for b := torn; len(b) > 0; {
		n := min(101, len(b))
		require.NoError(t, d.Write(b[:n]))
		b = b[n:]
	}
	require.NoError(t, d.Flush())
	require.Equal(t, want, got)
	require.Positive(t, d.Stats().SyncLosses)
}

// TestJoins: from the packet that a picture names on, PAT and PMT come, then the picture.
func TestJoins(t *testing.T) {
	in := craft()
	var want []uint64
	for i := range 5 {
		in.nullPacket(i)
		join := uint64(len(in.buf) / ts.PacketSize)
		in.tables(0, onlyVideo...).nullPacket(i)
		for j := range 3 {
			want = append(want, join, join)
			in.gop(90000+int64(i*3+j)*7200, 2)
		}
		in.pat(0, 1, pidPMT) // alone it is of no use
	}
	var packets []byte
	r := &recorder{}
	d := NewDemuxer(r, Options{Raw: func(p []byte) { packets = append(packets, p...) }})
	_, ok := d.Join()
	require.False(t, ok)
	require.NoError(t, d.Write(in.buf))
	require.NoError(t, d.Flush())
	require.Equal(t, in.buf, packets)
	var got []uint64
	for _, p := range r.epochs[0].Packets {
		got = append(got, p.Join)
	}
	require.Equal(t, want, got)
	last, ok := d.Join()
	require.True(t, ok)
	require.Equal(t, want[len(want)-1], last)
}

// TestRawTakesATrack: with it there is one less for others.
func TestRawTakesATrack(t *testing.T) {
	streams := append([]es{}, onlyVideo...)
	for i := range uint16(40) {
		streams = append(streams, es{ts.StreamTypeADTS, 0x400 + i, ""})
	}
	c := craft().tables(0, streams...)
	for i := range uint16(40) {
		c.audio(0x400+i, 90000, aac(3))
	}
	c.gop(90000, 3)
	r, _ := demux(t, c.buf, Options{Raw: func([]byte) {}})
	require.Len(t, r.epochs[0].Tracks, media.MaxTracks-1)
}

// TestProgramsByFFmpeg reads what another implementation wrote.
func TestProgramsByFFmpeg(t *testing.T) {
	b := ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25", "-f", "lavfi", "-i", "sine", "-t", "1", "-map", "0", "-map", "1", "-map", "1",
		"-program", "title=Radio Süd:program_num=5:st=1", "-program", "title=TV:program_num=6:st=0:st=2",
		"-metadata", "service_provider=Anstalt", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-f", "mpegts")
	for _, c := range []struct {
		o      Options
		tracks []media.Codec
	}{
		{Options{}, []media.Codec{media.AAC}},
		{Options{Program: 6}, []media.Codec{media.H264, media.AAC}},
		{Options{Service: "TV"}, []media.Codec{media.H264, media.AAC}},
		{Options{Service: "Radio Süd"}, []media.Codec{media.AAC}},
	} {
		r, d := demux(t, b, c.o)
		require.Len(t, r.epochs, 1, "%+v", c.o)
		var got []media.Codec
		for _, track := range r.epochs[0].Tracks {
			got = append(got, track.Codec)
		}
		require.Equal(t, c.tracks, got, "%+v", c.o)
		list := d.Programs()
		require.Len(t, list, 2)
		require.Equal(t, "Radio Süd", list[0].Name)
		require.EqualValues(t, 5, list[0].Number)
		require.Equal(t, "TV", list[1].Name)
		require.Zero(t, d.Stats().UnknownPackets)
		require.Zero(t, d.Stats().ContinuityErrors)
	}
}
