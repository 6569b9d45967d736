package api

import "brume/media/ts"

var (
	streamLive         = gauge("stream_live", "1 when media comes in, else 0.", "stream")
	streamIn           = counter("stream_received_bytes_total", "Payload bytes that came in.", "stream")
	streamOut          = counter("stream_sent_bytes_total", "Payload bytes that went out, over SRT and HTTP.", "stream")
	streamViewers      = gauge("stream_viewers", "Viewers by protocol.", "stream", "protocol")
	streamTracks       = gauge("stream_tracks", "Tracks of the latest epoch by kind.", "stream", "kind")
	streamBufferTime   = gauge("stream_buffer_seconds", "Media held in the stream's buffer.", "stream")
	streamBufferBytes  = gauge("stream_buffer_bytes", "Memory that the stream's buffer takes.", "stream")
	streamBufferSize   = gauge("stream_buffer_size_bytes", "Most bytes that the stream's buffer holds.", "stream")
	streamEpochs       = counter("stream_epochs_total", "Changes of tracks, parameters, clock or publisher, the first included.", "stream")
	streamHLSRequests  = counter("stream_hls_requests_total", "Requests of HLS playlists, segments and parts.", "stream")
	streamHLSBytes     = counter("stream_hls_sent_bytes_total", "Bytes of HLS playlists, segments and parts sent.", "stream")
	streamHLSFaults    = counter("stream_hls_faults_total", "Failures to make playlists and segments from the stream's buffer, by cause.", "stream", "cause")
	streamPlayerViews  = counter("stream_player_views_total", "Player pages asked for.", "stream")
	streamRaw          = gauge("stream_raw", "1 when the transport stream is kept as it came, else 0.", "stream")
	streamPrograms     = gauge("stream_programs", "Programs of the transport stream that the publisher sends.", "stream")
	streamIgnoredTrack = gauge("stream_ts_ignored_tracks", "PIDs of the last PMT that are not taken, whatever they carry.", "stream")
	streamLeftOut      = gauge("stream_left_out", "Elementary streams of the program that are not carried, by reason.", "stream", "reason")
)

// tsCounters are the totals of ts.Stats.
var tsCounters = []struct {
	*family
	value func(*ts.Stats) uint64
}{
	{counter("stream_ts_bytes_total", "Bytes of transport stream taken in.", "stream"), func(s *ts.Stats) uint64 { return s.Bytes }},
	{counter("stream_ts_packets_total", "Transport stream packets.", "stream"), func(s *ts.Stats) uint64 { return s.Packets }},
	{counter("stream_ts_skipped_bytes_total", "Bytes passed over to find the sync byte again.", "stream"), func(s *ts.Stats) uint64 { return s.SkippedBytes }},
	{counter("stream_ts_continuity_errors_total", "Gaps in continuity_counter on the PIDs that are taken apart.", "stream"), func(s *ts.Stats) uint64 { return s.ContinuityErrors }},
	{counter("stream_ts_crc_errors_total", "Sections with a wrong CRC_32 among those that are taken apart.", "stream"), func(s *ts.Stats) uint64 { return s.CRCErrors }},
	{counter("stream_ts_table_errors_total", "PAT, PMT or SDT that can't be read.", "stream"), func(s *ts.Stats) uint64 { return s.TableErrors }},
	{counter("stream_ts_pes_errors_total", "PES that can't be read.", "stream"), func(s *ts.Stats) uint64 { return s.PESErrors }},
	{counter("stream_ts_unit_errors_total", "Access units that can't be read.", "stream"), func(s *ts.Stats) uint64 { return s.UnitErrors }},
	{counter("stream_ts_oversized_total", "PES, sections or access units over the limit.", "stream"), func(s *ts.Stats) uint64 { return s.Oversized }},
	{counter("stream_ts_scrambled_packets_total", "Packets that are scrambled.", "stream"), func(s *ts.Stats) uint64 { return s.Scrambled }},
	{counter("stream_ts_discontinuities_total", "Jumps of the clock.", "stream"), func(s *ts.Stats) uint64 { return s.Discontinuities }},
	{counter("stream_ts_epochs_total", "Epochs that the demultiplexer began.", "stream"), func(s *ts.Stats) uint64 { return s.Epochs }},
	{counter("stream_ts_units_total", "Access units given on.", "stream"), func(s *ts.Stats) uint64 { return s.Units }},
	{counter("stream_ts_torn_units_total", "Pictures given on that may refer to lost ones: HLS leaves them out.", "stream"), func(s *ts.Stats) uint64 { return s.TornUnits }},
}

func (e emitter) stream(s *Stream) {
	e.add(streamLive, truth(s.State == StreamLive), s.Name)
	e.add(streamIn, float64(s.BytesIn), s.Name)
	e.add(streamOut, float64(s.BytesOut), s.Name)
	e.add(streamViewers, float64(s.Viewers.SRT), s.Name, "srt")
	e.add(streamViewers, float64(s.Viewers.HLS), s.Name, "hls")
	kinds := map[string]int{}
	for i := range s.Tracks {
		kinds[s.Tracks[i].Kind]++
	}
	for _, kind := range []string{"video", "audio", "data"} {
		e.add(streamTracks, float64(kinds[kind]), s.Name, kind)
	}
	if s.Source != nil {
		e.source(s.Name, s.Source)
	}
	e.add(streamRaw, truth(s.Raw), s.Name)
	e.add(streamPrograms, float64(len(s.Programs)), s.Name)
	leftOut := map[ts.LeftOutReason]int{}
	for i := range s.LeftOut {
		leftOut[s.LeftOut[i].Reason]++
	}
	for _, reason := range ts.LeftOutReasons {
		e.add(streamLeftOut, float64(leftOut[reason]), s.Name, string(reason))
	}
	if b := s.Buffer; b != nil {
		e.add(streamBufferTime, b.Seconds, s.Name)
		e.add(streamBufferBytes, float64(b.Bytes), s.Name)
		e.add(streamBufferSize, float64(b.SizeBytes), s.Name)
		e.add(streamEpochs, float64(b.Epochs), s.Name)
	}
	e.add(streamHLSRequests, float64(s.HLS.Requests), s.Name)
	e.add(streamHLSBytes, float64(s.HLS.Bytes), s.Name)
	e.add(streamHLSFaults, float64(s.HLS.Faults.Segment), s.Name, "segment")
	e.add(streamHLSFaults, float64(s.HLS.Faults.Overtaken), s.Name, "overtaken")
	e.add(streamHLSFaults, float64(s.HLS.Faults.Entry), s.Name, "entry")
	e.add(streamHLSFaults, float64(s.HLS.Faults.Buffer), s.Name, "buffer")
	e.add(streamPlayerViews, float64(s.HLS.PlayerViews), s.Name)
	if s.Input != nil {
		for _, c := range tsCounters {
			e.add(c.family, float64(c.value(s.Input)), s.Name)
		}
		e.add(streamIgnoredTrack, float64(s.Input.IgnoredTracks), s.Name)
	}
	e.health(s)
}
