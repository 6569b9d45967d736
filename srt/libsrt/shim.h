// What srtgo lacks, in as few calls into C as can be. Each returns libsrt's error code
// through its last argument, read on the thread that failed.
#ifndef BRUME_SHIM_H
#define BRUME_SHIM_H

#include <stdint.h>
#include <srt/srt.h>

// gate is what a listener's callback shares with Go. It lets one caller in.
typedef struct {
	int32_t shut;       // that one has come
	int32_t handshakes; // callers whose conclusion came through the gate
	int32_t refused;    // callers who found it shut, or who are not the one that is waited for
	int32_t named;      // only the caller with this stream id may come in
	char id[513];       // ends in 0
} brume_gate;

// record is one message of a batch.
typedef struct {
	int64_t source_time; // us, when its sender took it, on the clock of srt_time_now
	int32_t length;      // bytes
	int32_t sequence;    // of its packet
} brume_record;

// line is one of libsrt's log lines.
typedef struct {
	int32_t level;  // as syslog(3)
	int32_t count;  // times it came in a row
	char text[240]; // ends in 0
} brume_line;

int brume_start(void);

int brume_listen(SRTSOCKET s, int fd, brume_gate *gate, int *epoll, int *err);
SRTSOCKET brume_accept(SRTSOCKET s, int epoll, int wait_ms, int *err);
int brume_connect(SRTSOCKET s, int fd, int *err);
int brume_watch(SRTSOCKET s, int *err);

int brume_read(SRTSOCKET s, int epoll, int wait_ms, int batch_us, char *buf, int size, int slot,
	brume_record *records, int max, int *err);
int brume_send(SRTSOCKET s, const char *buf, int length, int slot, int burst, int pause_us, int *err);

int brume_stats(SRTSOCKET s, SRT_TRACEBSTATS *stats, int clear, int *err);
int brume_get(SRTSOCKET s, int option, void *value, int *length, int *err);

void brume_log_start(int level);
int brume_log_rejected(void);
int brume_log_drain(brume_line *lines, int max, uint64_t *lost);

int brume_knock_open(int fd);
void brume_knock(const char *data, size_t length, uint32_t stale);
int brume_knock_repeats(void);
void brume_knock_shut(void);

int brume_gate_load(int32_t *field);

#endif
