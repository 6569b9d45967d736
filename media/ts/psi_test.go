package ts

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/asticode/go-astits"
	"github.com/stretchr/testify/require"
)

func TestCRC32(t *testing.T) {
	require.Equal(t, uint32(0x0376E6E7), CRC32([]byte("123456789"))) // the check value of CRC-32/MPEG-2
	require.Zero(t, CRC32(AppendCRC32([]byte{1, 2, 3})))
}

// muxed is a PAT and a PMT in packets, made by another implementation.
func muxed(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	m := astits.NewMuxer(context.Background(), &b)
	for _, es := range []astits.PMTElementaryStream{
		{ElementaryPID: 0x101, StreamType: astits.StreamTypeH264Video},
		{
			ElementaryPID: 0x102, StreamType: astits.StreamTypeADTS,
			ElementaryStreamDescriptors: []*astits.Descriptor{{
				Tag: astits.DescriptorTagISO639LanguageAndAudioType, Length: 4,
				ISO639LanguageAndAudioType: &astits.DescriptorISO639LanguageAndAudioType{Language: []byte("deu")},
			}},
		},
		{
			ElementaryPID: 0x103, StreamType: astits.StreamTypePrivateData,
			ElementaryStreamDescriptors: []*astits.Descriptor{{
				Tag: astits.DescriptorTagRegistration, Length: 4,
				Registration: &astits.DescriptorRegistration{FormatIdentifier: FormatOpus},
			}},
		},
	} {
		require.NoError(t, m.AddElementaryStream(es))
	}
	m.SetPCRPID(0x101)
	_, err := m.WriteTables()
	require.NoError(t, err)
	return b.Bytes()
}

// TestPSI compares with what another implementation wrote and reads.
func TestPSI(t *testing.T) {
	b := muxed(t)
	require.Len(t, b, 2*PacketSize)
	var pat *astits.PATData
	var pmt *astits.PMTData
	d := astits.NewDemuxer(context.Background(), bytes.NewReader(b))
	for {
		data, err := d.NextData()
		if errors.Is(err, astits.ErrNoMorePackets) {
			break
		}
		require.NoError(t, err)
		if data.PAT != nil {
			pat = data.PAT
		}
		if data.PMT != nil {
			pmt = data.PMT
		}
	}
	require.NotNil(t, pat)
	require.NotNil(t, pmt)

	s, err := ParseSection(payload(b[:PacketSize]))
	require.NoError(t, err)
	require.Equal(t, uint8(TablePAT), s.TableID)
	require.Equal(t, pat.TransportStreamID, s.Extension)
	for program, pid := range s.Programs() {
		require.Equal(t, pat.Programs[0].ProgramNumber, program)
		require.Equal(t, pat.Programs[0].ProgramMapID, pid)
	}

	s, err = ParseSection(payload(b[PacketSize:]))
	require.NoError(t, err)
	require.Equal(t, pmt.ProgramNumber, s.Extension)
	require.True(t, s.Current)
	m, err := ParsePMT(&s)
	require.NoError(t, err)
	require.Equal(t, pmt.PCRPID, m.PCRPID)
	i := 0
	for e := range m.Elements() {
		require.Equal(t, pmt.ElementaryStreams[i].ElementaryPID, e.PID)
		require.Equal(t, uint8(pmt.ElementaryStreams[i].StreamType), e.Type)
		require.Equal(t, []string{"", "deu", ""}[i], e.Descriptors.Language())
		require.Equal(t, []uint32{0, 0, FormatOpus}[i], e.Descriptors.Format())
		i++
	}
	require.Equal(t, len(pmt.ElementaryStreams), i)
}

// payload finds the section in a packet with a pointer_field of 0.
func payload(p []byte) []byte {
	p = p[4:]
	if p[0] != 0 { // adaptation field
		p = p[1+int(p[0]):]
	}
	p = p[1:]
	return p[:3+int(p[1]&15)<<8+int(p[2])]
}

func TestDescriptors(t *testing.T) {
	for _, c := range []struct {
		in       string
		language string
		metadata uint32
	}{
		{"\x0A\x04eng\x00", "eng", 0},
		{"\x0A\x08FRA\x00deu\x00", "fra", 0},
		{"\x0A\x04und\x00", "", 0},
		{"\x0A\x04e g\x00", "", 0},
		{"\x0A\x02en", "", 0},
		{"\x0A\x40eng", "", 0},
		{"\x26\x09\x01\x00\xFFKLVA\x00\x0F", "", FormatKLVA},
		{"\x26\x0D\xFF\xFFKLVA\xFFID3 \x00\x0F", "", 0x49443320},
		{"\x26\x03\xFF\xFFK", "", 0},
		{"\x26\x02\xFF\xFF", "", 0},
		{"\x26", "", 0},
	} {
		d := Descriptors(c.in)
		require.Equal(t, c.language, d.Language(), "%q", c.in)
		require.Equal(t, c.metadata, d.MetadataFormat(), "%q", c.in)
	}
}

// FuzzSection takes anything for a section.
func FuzzSection(f *testing.F) {
	b := muxed(f)
	f.Add(payload(b[:PacketSize]))
	f.Add(payload(b[PacketSize:]))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSection(b)
		if err != nil {
			require.ErrorIs(t, err, ErrTable)
			return
		}
		for range s.Programs() {
		}
		m, err := ParsePMT(&s)
		if err != nil {
			return
		}
		for e := range m.Elements() {
			e.Descriptors.Language()
			e.Descriptors.Format()
			e.Descriptors.MetadataFormat()
		}
	})
}
