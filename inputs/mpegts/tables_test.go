package mpegts

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
	"brume/media/ts"
)

func TestPrograms(t *testing.T) {
	const otherPMT, otherVideo = 0x200, 0x201
	two := func() *crafter {
		c := craft().pat(0, 7, pidPMT, 9, otherPMT)
		c.table(pidPMT, pmt(7, 0, pidVideo, onlyVideo...))
		return c.table(otherPMT, pmt(9, 0, otherVideo, es{ts.StreamTypeH264, otherVideo, ""}))
	}
	for _, c := range []struct {
		name    string
		program uint16
		pid     uint16
	}{
		{"the first", 0, pidVideo},
		{"the first by number", 7, pidVideo},
		{"the second", 9, otherVideo},
		{"one that is not there", 8, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := two().gop(90000, 2)
			in.split(otherVideo, pesBytes(ts.StreamIDVideo, 90000, none, false, idr(100)))
			r, d := demux(t, in.buf, Options{Program: c.program})
			require.Zero(t, d.Stats().UnknownPackets)
			if c.pid == 0 {
				require.Empty(t, r.epochs)
				return
			}
			require.Len(t, r.epochs, 1)
			require.Equal(t, c.pid, r.epochs[0].Tracks[0].PID)
		})
	}
}

func TestProgramMoves(t *testing.T) {
	c := craft().tables(0, onlyVideo...).gop(90000, 3)
	c.pat(1, 1, 0x300).table(0x300, pmt(1, 0, pidMore, es{ts.StreamTypeH264, pidMore, ""}))
	for i := range int64(3) {
		c.split(pidMore, pesBytes(ts.StreamIDVideo, 100800+3600*i, none, false, idr(100)))
	}
	r, d := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 2)
	require.Equal(t, uint16(pidMore), r.epochs[1].Tracks[0].PID)
	require.Equal(t, steps(90000, 6, 3600), r.times(0))
	require.Zero(t, d.Stats().UnitErrors)
}

func TestTableErrors(t *testing.T) {
	whole := pmt(1, 0, pidVideo, onlyVideo...)
	wrongCRC := pmt(1, 0, pidVideo, onlyVideo...)
	wrongCRC[10] ^= 1
	lying := section(ts.TablePMT, 1, 0, []byte{0xE1, 0x01, 0xF0, 0x00, 0x1B, 0xE1, 0x01, 0xF0, 0x55})
	later := pmt(1, 0, pidVideo, onlyVideo...)
	later = later[:len(later)-4]
	later[5] &^= 1 // current_next_indicator
	later = ts.AppendCRC32(later)
	for _, c := range []struct {
		name    string
		section []byte
		check   func(s ts.Stats) uint64
	}{
		{"wrong checksum", wrongCRC, func(s ts.Stats) uint64 { return s.CRCErrors }},
		{"lying length of descriptors", lying, func(s ts.Stats) uint64 { return s.TableErrors }},
		{"too short", []byte{2, 0xB0, 1, 0}, func(s ts.Stats) uint64 { return s.TableErrors }},
		{"too long", append([]byte{2, 0xBF, 0xFF}, make([]byte, 400)...), func(s ts.Stats) uint64 { return s.Oversized }},
		{"of another program", pmt(2, 0, pidVideo, onlyVideo...), func(ts.Stats) uint64 { return 1 }},
		{"not yet to be used", later, func(ts.Stats) uint64 { return 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := craft().pat(0, 1, pidPMT).table(pidPMT, c.section).gop(90000, 2)
			r, d := demux(t, in.buf, Options{})
			require.Empty(t, r.epochs)
			require.Equal(t, uint64(1), c.check(d.Stats()))

			in.table(pidPMT, whole).gop(97200, 2) // and it goes on
			r, _ = demux(t, in.buf, Options{})
			require.Equal(t, []int64{97200, 100800}, r.times(0))
		})
	}
	t.Run("pointer over the end", func(t *testing.T) {
		in := craft().pat(0, 1, pidPMT)
		in.packet(pidPMT, true, nil, append([]byte{255}, make([]byte, 183)...))
		_, d := demux(t, in.buf, Options{})
		require.Equal(t, uint64(1), d.Stats().TableErrors)
	})
}

// TestManyPIDs: a PMT over several packets that names more PIDs than an epoch has tracks.
func TestManyPIDs(t *testing.T) {
	streams := append([]es{}, onlyVideo...)
	for i := range uint16(100) {
		streams = append(streams, es{ts.StreamTypeADTS, 0x400 + i, "\x0A\x04eng\x00"})
	}
	c := craft().tables(0, streams...)
	for i := range uint16(100) {
		c.audio(0x400+i, 90000, aac(3))
	}
	c.gop(90000, 3)
	r, d := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 1)
	require.Len(t, r.epochs[0].Tracks, media.MaxTracks)
	require.Equal(t, uint64(101-media.MaxTracks), d.Stats().IgnoredTracks)
	require.Zero(t, d.Stats().UnknownPackets)
	require.Len(t, r.epochs[0].Packets, 3+3*(media.MaxTracks-1))
}

func TestHostilePMT(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams []es
		ignored uint64
		tracks  int
	}{
		{"the same PID twice", []es{onlyVideo[0], onlyVideo[0]}, 1, 1},
		{"the PID of the PAT", []es{onlyVideo[0], {ts.StreamTypeH264, 0, ""}}, 1, 1},
		{"the PID of the PMT", []es{onlyVideo[0], {ts.StreamTypeH264, pidPMT, ""}}, 1, 1},
		{"the PID of null packets", []es{onlyVideo[0], {ts.StreamTypeH264, ts.PIDNull, ""}}, 1, 1},
		{"unknown types", []es{onlyVideo[0], {0x77, 0x500, ""}, {6, 0x501, ""}, {0x15, 0x502, ""}}, 3, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, d := demux(t, craft().tables(0, c.streams...).gop(90000, 2).buf, Options{})
			require.Equal(t, c.ignored, d.Stats().IgnoredTracks)
			require.Len(t, r.epochs, 1)
			require.Len(t, r.epochs[0].Tracks, c.tracks)
		})
	}
}

// TestClassify goes through the ways to name a codec.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		name        string
		kind        byte
		descriptors string
		codec       media.Codec
	}{
		{"H.264", 0x1B, "", media.H264},
		{"H.265", 0x24, "", media.H265},
		{"H.265 by registration", 0x06, "\x05\x04HEVC", media.H265},
		{"AAC", 0x0F, "", media.AAC},
		{"AAC in LATM", 0x11, "", media.AAC},
		{"MPEG-1 audio", 0x03, "", media.MP2},
		{"MPEG-2 audio", 0x04, "", media.MP2},
		{"AC-3 of ATSC", 0x81, "", media.AC3},
		{"AC-3 of DVB", 0x06, "\x6A\x01\x00", media.AC3},
		{"AC-3 by registration", 0x06, "\x05\x04AC-3", media.AC3},
		{"E-AC-3 of ATSC", 0x87, "", media.EAC3},
		{"E-AC-3 of DVB", 0x06, "\x7A\x01\x00", media.EAC3},
		{"E-AC-3 by registration", 0x06, "\x05\x04EAC3", media.EAC3},
		{"Opus", 0x06, "\x05\x04Opus\x7F\x02\x80\x02", media.Opus},
		{"Opus of too many channels", 0x06, "\x05\x04Opus\x7F\x02\x80\x30", ""},
		{"SCTE 35", 0x86, "", media.SCTE35},
		{"KLV in cells", 0x15, "\x26\x09\x01\x00\xFFKLVA\x00\x0F", media.KLV},
		{"KLV of an application", 0x15, "\x26\x0D\xFF\xFFKLVA\xFFKLVA\x00\x0F", media.KLV},
		{"ID3", 0x15, "\x26\x09\x01\x00\xFFID3 \x00\x0F", ""},
		{"KLV", 0x06, "\x05\x04KLVA", media.KLV},
		{"teletext", 0x06, "\x56\x05eng\x09\x00", ""},
		{"descriptor over the end", 0x06, "\x05\x0AKLVA", ""},
		{"no descriptor", 0x06, "", ""},
		{"MPEG-2 video", 0x02, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := ts.ParseSection(pmt(1, 0, 0x101, es{c.kind, 0x101, c.descriptors}))
			require.NoError(t, err)
			m, err := ts.ParsePMT(&s)
			require.NoError(t, err)
			for e := range m.Elements() {
				f, ok := classify(&e, &m)
				require.Equal(t, c.codec != "", ok)
				if ok {
					require.Equal(t, c.codec, f.codec)
				}
			}
		})
	}
}

// TestPMTChange: tracks that come and go begin epochs at random access points, and what
// stays loses nothing.
func TestPMTChange(t *testing.T) {
	c := craft().tables(0, onlyVideo...).gop(90000, 4)
	c.tables(1, withAudio...).video(104400, none, inter(100))
	for i := range int64(4) {
		c.audio(pidAudio, 105000+1920*i, adtsFrame(2, 50))
	}
	c.gop(108000, 3).audio(pidAudio, 112680, adtsFrame(2, 50))
	c.tables(2, onlyVideo...).gop(118800, 3)
	r, d := demux(t, c.buf, Options{})
	require.Len(t, r.epochs, 3)
	require.Len(t, r.epochs[0].Tracks, 1)
	require.Len(t, r.epochs[1].Tracks, 2)
	require.Len(t, r.epochs[2].Tracks, 1)
	require.Equal(t, "eng", r.epochs[1].Tracks[1].Language)
	require.Equal(t, append(steps(90000, 8, 3600), steps(118800, 3, 3600)...), r.times(0))
	for i := range r.epochs {
		require.True(t, r.epochs[i].track(0)[0].RandomAccess)
	}
	require.Len(t, r.epochs[1].track(1), 5)
	require.Zero(t, d.Stats().UnitErrors)

	t.Run("language alone", func(t *testing.T) {
		c := craft().tables(0, withAudio...).audio(pidAudio, 90000, aac(3)).gop(90000, 4)
		c.tables(1, onlyVideo[0], es{ts.StreamTypeADTS, pidAudio, "\x0A\x04FRA\x00"})
		c.video(104400, none, inter(100)).gop(108000, 3)
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 2)
		require.Equal(t, "fra", r.epochs[1].Tracks[1].Language)
		require.Equal(t, steps(90000, 8, 3600), r.times(0))
	})
	t.Run("version alone", func(t *testing.T) {
		c := craft().tables(0, onlyVideo...).gop(90000, 4).tables(1, onlyVideo...).gop(104400, 4)
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 1)
	})
	t.Run("codec of a PID", func(t *testing.T) {
		c := craft().tables(0, onlyVideo...).gop(90000, 4)
		c.tables(1, es{ts.StreamTypeADTS, pidVideo, ""}).audio(pidVideo, 104400, aac(3))
		r, _ := demux(t, c.buf, Options{})
		require.Len(t, r.epochs, 2)
		require.Equal(t, media.AAC, r.epochs[1].Tracks[0].Codec)
		require.Equal(t, append(steps(90000, 4, 3600), steps(104400, 3, 1920)...), r.times(0))
	})
}

// TestTablesOfFFmpeg: a real multi-program stream.
func TestTablesOfFFmpeg(t *testing.T) {
	clip := ffmpeg(t, strings.Fields("-f lavfi -i testsrc2=s=320x180:r=25:d=1 -f lavfi -i sine=d=1 "+
		x264+"-c:a aac -map 0 -map 1 -map 0 -map 1 -program program_num=5:st=0:st=1 -program program_num=6:st=2:st=3 -f mpegts")...)
	for _, program := range []uint16{0, 5, 6} {
		r, d := demux(t, clip, Options{Program: program})
		require.Len(t, r.epochs, 1)
		require.Len(t, r.epochs[0].Tracks, 2)
		require.Len(t, r.epochs[0].track(0), 25)
		require.Zero(t, d.Stats().UnknownPackets)
		pid := uint16(0x100)
		if program == 6 {
			pid = 0x102
		}
		require.Equal(t, pid, r.epochs[0].Tracks[0].PID)
	}
}
