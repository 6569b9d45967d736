package fmp4

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"brume/media"
)

var (
	avcTrack  = media.Track{Codec: media.H264}
	hevcTrack = media.Track{Codec: media.H265}
	aacTrack  = media.Track{Codec: media.AAC, Config: []byte{0x11, 0x90}}
	errBoom   = errors.New("boom")
)

// appendAll writes a fragment of given payloads.
func appendAll(dst []byte, t *media.Track, f *Fragment, payloads ...[]byte) ([]byte, error) {
	f.Samples = f.Samples[:0]
	for range payloads {
		f.Samples = append(f.Samples, Sample{Duration: 3000})
	}
	return Append(dst, t, f, func(i int, dst []byte) ([]byte, error) { return append(dst, payloads[i]...), nil })
}

func initOf(t testing.TB) []byte {
	t.Helper()
	b, err := Init(&aacTrack)
	require.NoError(t, err)
	return b
}

// TestWhatStaysOut has delimiters, ends and filler left out; parameter sets stay.
func TestWhatStaysOut(t *testing.T) {
	slice, slice5 := []byte{0x41, 1, 2, 3}, []byte{0x02, 1, 2, 3}
	sets, sets5 := prefixed([]byte{0x67, 1}, []byte{0x68, 2}, []byte{0x6d, 3}), prefixed([]byte{0x40, 1}, []byte{0x42, 1}, []byte{0x44, 1}, []byte{0x4e, 1, 9})
	aud, filler, end := []byte{9, 0xf0}, []byte{12, 0xff, 0xff, 0xff}, []byte{10}
	for _, c := range []struct {
		name     string
		track    *media.Track
		in, want []byte
	}{
		{"h264 plain", &avcTrack, prefixed(slice, slice), prefixed(slice, slice)},
		{"h264 with sets", &avcTrack, append(sets, prefixed(slice)...), append(sets, prefixed(slice)...)},
		{"h264 delimiter first", &avcTrack, prefixed(aud, slice, slice), prefixed(slice, slice)},
		{"h264 filler in between", &avcTrack, prefixed(slice, filler, filler, slice, filler, slice), prefixed(slice, slice, slice)},
		{"h264 ends", &avcTrack, prefixed(slice, end, []byte{11}), prefixed(slice)},
		{"h264 empty NAL unit", &avcTrack, prefixed(nil, slice, nil), prefixed(slice)},
		{"h264 nothing left", &avcTrack, prefixed(filler), nil},
		{"h265 with sets", &hevcTrack, append(sets5, prefixed(slice5)...), append(sets5, prefixed(slice5)...)},
		{"h265", &hevcTrack, prefixed([]byte{0x46, 1, 0x50}, slice5, []byte{0x48, 1}, []byte{0x4a, 1}, []byte{0x4c, 1, 0xff}), prefixed(slice5)},
		{"aac is as it is", &aacTrack, []byte{0, 0, 0, 9, 0x67}, []byte{0, 0, 0, 9, 0x67}},
		{"empty aac", &aacTrack, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := appendAll(initOf(t), c.track, &Fragment{}, c.in, []byte{}, c.in)
			require.NoError(t, err)
			all := samples(t, parse(t, out))
			require.Len(t, all, 3)
			require.Equal(t, string(c.want), string(all[0].Data))
			require.Empty(t, all[1].Data)
			require.Equal(t, string(c.want), string(all[2].Data))
		})
	}
}

func TestMalformedSamples(t *testing.T) {
	good := prefixed([]byte{0x41, 1, 2})
	for _, c := range []struct {
		name string
		in   []byte
	}{
		{"length cut", []byte{0, 0, 1}},
		{"length over the end", []byte{0, 0, 0, 3, 0x41, 1}},
		{"length with the top bit", []byte{0x80, 0, 0, 1, 0x41}},
		{"largest length", []byte{0xff, 0xff, 0xff, 0xff, 0x41, 1, 2, 3}},
		{"bytes behind the last", append(prefixed([]byte{0x41, 1}), 0, 0)},
		{"second length over the end", append(prefixed([]byte{0x67, 1}), 0, 0, 0, 9, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, track := range []*media.Track{&avcTrack, &hevcTrack} {
				before := []byte("what was there")
				out, err := appendAll(before, track, &Fragment{}, good, c.in, good)
				require.ErrorIs(t, err, ErrMalformed)
				require.Equal(t, "what was there", string(out))
			}
		})
	}
}

func TestErrorsOfThePayload(t *testing.T) {
	f := Fragment{Samples: make([]Sample, 3)}
	out, err := Append([]byte("x"), &aacTrack, &f, func(i int, dst []byte) ([]byte, error) {
		if i == 2 {
			return nil, errBoom
		}
		return append(dst, 1, 2), nil
	})
	require.ErrorIs(t, err, errBoom)
	require.Equal(t, "x", string(out))

	out, err = Append([]byte("x"), &aacTrack, &f, func(_ int, dst []byte) ([]byte, error) { return dst[:len(dst)-1], nil })
	require.ErrorIs(t, err, ErrMalformed)
	require.Equal(t, "x", string(out))
}

func TestTiming(t *testing.T) {
	f := Fragment{Sequence: math.MaxUint32, BaseTime: 1<<60 + 7, Samples: []Sample{
		{Duration: 3000, CTO: 6000, RandomAccess: true},
		{Duration: 1, CTO: -6000},
		{Duration: math.MaxUint32, CTO: math.MinInt32},
		{CTO: math.MaxInt32},
	}}
	out, err := Append(initOf(t), &aacTrack, &f, func(i int, dst []byte) ([]byte, error) { return append(dst, byte(i)), nil })
	require.NoError(t, err)
	file := parse(t, out)
	fr := file.Segments[0].Fragments[0]
	require.Equal(t, uint32(math.MaxUint32), fr.Moof.Mfhd.SequenceNumber)
	require.Equal(t, uint64(1<<60+7), fr.Moof.Traf.Tfdt.BaseMediaDecodeTime())
	require.True(t, fr.Moof.Traf.Tfhd.DefaultBaseIfMoof())
	all := samples(t, file)
	at := f.BaseTime
	for i, s := range f.Samples {
		require.Equal(t, at, all[i].DecodeTime)
		require.Equal(t, s.Duration, all[i].Dur)
		require.Equal(t, s.CTO, all[i].CompositionTimeOffset)
		require.Equal(t, s.RandomAccess, all[i].IsSync())
		require.Equal(t, []byte{byte(i)}, all[i].Data)
		at += uint64(s.Duration)
	}
}

func TestNoSamples(t *testing.T) {
	out, err := Append(initOf(t), &aacTrack, &Fragment{}, nil)
	require.NoError(t, err)
	require.Empty(t, samples(t, parse(t, out)))
}

// TestDirtyMemory has the fragment in memory that was used before.
func TestDirtyMemory(t *testing.T) {
	f := Fragment{Samples: make([]Sample, 20)}
	payload := func(_ int, dst []byte) ([]byte, error) { return append(dst, 1, 2, 3), nil }
	clean, err := Append(nil, &aacTrack, &f, payload)
	require.NoError(t, err)
	dirty, err := Append(bytes.Repeat([]byte{0xee}, 4096)[:0], &aacTrack, &f, payload)
	require.NoError(t, err)
	require.Equal(t, clean, dirty)
}

// second is a second of 20 Mbit/s at 50 pictures a second, in four slices each, some behind a delimiter.
func second() [][]byte {
	var all [][]byte
	for i := range 50 {
		s := make([]byte, 12500)
		s[0] = 0x41
		p := prefixed(s, s, s, s)
		if i%10 == 0 {
			p = append(prefixed([]byte{9, 0xf0}), p...)
		}
		all = append(all, p)
	}
	return all
}

func TestNothingIsAllocated(t *testing.T) {
	all := second()
	f := Fragment{Samples: make([]Sample, len(all))}
	payload := func(i int, dst []byte) ([]byte, error) { return append(dst, all[i]...), nil }
	var out []byte
	require.Zero(t, testing.AllocsPerRun(5, func() {
		var err error
		if out, err = Append(out[:0], &avcTrack, &f, payload); err != nil {
			panic(err)
		}
	}))
}

func BenchmarkAppend(b *testing.B) {
	all := second()
	f := Fragment{Samples: make([]Sample, len(all))}
	payload := func(i int, dst []byte) ([]byte, error) { return append(dst, all[i]...), nil }
	size := int64(0)
	for _, p := range all {
		size += int64(len(p))
	}
	b.SetBytes(size)
	b.ReportAllocs()
	var out []byte
	for b.Loop() {
		out, _ = Append(out[:0], &avcTrack, &f, payload)
	}
}

func FuzzAppend(f *testing.F) {
	f.Add(byte(0), prefixed([]byte{0x67, 1}, []byte{0x41, 2, 3}))
	f.Add(byte(1), prefixed([]byte{0x40, 1}, []byte{0x02, 2, 3}, nil))
	f.Add(byte(2), []byte{1, 2, 3})
	f.Add(byte(0), []byte{0xff, 0xff, 0xff, 0xff, 0x41})
	tracks := []*media.Track{&avcTrack, &hevcTrack, &aacTrack}
	head := initOf(f)
	f.Fuzz(func(t *testing.T, track byte, payload []byte) {
		tr := tracks[int(track)%len(tracks)]
		out, err := appendAll(bytes.Clone(head), tr, &Fragment{}, payload, payload)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			require.Equal(t, head, out)
			return
		}
		want := payload
		switch tr.Codec {
		case media.H264:
			want = without(payload, tr.Codec, 9, 10, 11, 12)
		case media.H265:
			want = without(payload, tr.Codec, 35, 36, 37, 38)
		}
		all := samples(t, parse(t, out))
		require.Len(t, all, 2)
		require.Equal(t, string(want), string(all[0].Data))
		require.Equal(t, string(want), string(all[1].Data))
	})
}
