#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static int fail(int *err)
{
	int system = 0;
	*err = srt_getlasterror(&system);
	return -1;
}

static void pause_us(int us)
{
	struct timespec t = {us / 1000000, us % 1000000 * 1000L};
	while (nanosleep(&t, &t) != 0 && errno == EINTR)
		;
}

int brume_start(void)
{
	return srt_startup();
}

// libsrt's receiving thread relies on SO_RCVTIMEO; on a non-blocking socket it spins.
static int make_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

// Runs on libsrt's receiving thread, before the passphrase is looked at, and once for a caller that is let in: the gate shuts here, since
// another handshake may be the next datagram.
static int on_caller(void *opaque, SRTSOCKET s, int version, const struct sockaddr *peer, const char *id)
{
	brume_gate *gate = opaque;
	(void)version;
	(void)peer;
	int right = !gate->named || strcmp(id, gate->id) == 0;
	if (right && !__atomic_exchange_n(&gate->shut, 1, __ATOMIC_ACQ_REL)) {
		__atomic_add_fetch(&gate->handshakes, 1, __ATOMIC_RELEASE);
		return 0;
	}
	__atomic_add_fetch(&gate->refused, 1, __ATOMIC_RELEASE);
	srt_setrejectreason(s, SRT_REJ_BACKLOG);
	return -1;
}

int brume_gate_load(int32_t *field)
{
	return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

// The epoll is subscribed before srt_listen: a connection that is queued already is not reported.
int brume_listen(SRTSOCKET s, int fd, brume_gate *gate, int *epoll, int *err)
{
	*epoll = -1;
	if (make_blocking(fd) != 0 || brume_knock_open(fd) != 0) {
		*err = SRT_EINVPARAM;
		return -1;
	}
	if (srt_bind_acquire(s, fd) < 0)
		return fail(err);
	*epoll = brume_watch(s, err);
	if (*epoll < 0)
		return -1;
	if (srt_listen_callback(s, on_caller, gate) < 0)
		return fail(err);
	if (srt_listen(s, 1) < 0)
		return fail(err);
	return 0;
}

// 0 means that nobody came within wait_ms.
SRTSOCKET brume_accept(SRTSOCKET s, int epoll, int wait_ms, int *err)
{
	SRT_EPOLL_EVENT event;
	struct sockaddr_storage peer;
	for (int again = 1; again >= 0; again--) {
		int length = sizeof peer;
		SRTSOCKET caller = srt_accept(s, (struct sockaddr *)&peer, &length);
		if (caller > 0)
			return caller;
		fail(err);
		if (*err != SRT_EASYNCRCV)
			return -1;
		if (again)
			srt_epoll_uwait(epoll, &event, 1, wait_ms);
	}
	return 0;
}

// fd is connected to the peer already, which tells its address.
int brume_connect(SRTSOCKET s, int fd, int *err)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	if (make_blocking(fd) != 0 || getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
		*err = SRT_EINVPARAM;
		return -1;
	}
	if (srt_bind_acquire(s, fd) < 0)
		return fail(err);
	if (srt_connect(s, (struct sockaddr *)&peer, length) < 0)
		return fail(err);
	return 0;
}

int brume_watch(SRTSOCKET s, int *err)
{
	int events = SRT_EPOLL_IN | SRT_EPOLL_ERR;
	int epoll = srt_epoll_create();
	if (epoll < 0)
		return fail(err);
	if (srt_epoll_add_usock(epoll, s, &events) < 0) {
		fail(err);
		srt_epoll_release(epoll);
		return -1;
	}
	return epoll;
}

// drain takes what is there. It returns the number of messages, or -1 with nothing read and an error.
static int drain(SRTSOCKET s, char *buf, int size, int slot, brume_record *records, int max, int *err)
{
	int n = 0, used = 0;
	while (n < max && size - used >= slot) {
		SRT_MSGCTRL control;
		srt_msgctrl_init(&control);
		int length = srt_recvmsg2(s, buf + used, slot, &control);
		if (length < 0) {
			fail(err);
			return n > 0 || *err == SRT_EASYNCRCV ? n : -1;
		}
		if (length == 0) {
			*err = SRT_ECONNLOST;
			return n > 0 ? n : -1;
		}
		records[n].source_time = control.srctime;
		records[n].length = length;
		records[n].sequence = control.pktseq;
		n++;
		used += length;
	}
	return n;
}

// While media flows each call is one sleep and one sweep; libsrt's epoll, which polls by itself, is asked only
// when a sweep finds nothing. The messages lie in buf one behind the other.
int brume_read(SRTSOCKET s, int epoll, int wait_ms, int batch_us, char *buf, int size, int slot,
	brume_record *records, int max, int *err)
{
	SRT_EPOLL_EVENT event;
	*err = 0;
	if (batch_us > 0)
		pause_us(batch_us);
	int n = drain(s, buf, size, slot, records, max, err);
	if (n != 0)
		return n;
	if (srt_epoll_uwait(epoll, &event, 1, wait_ms) <= 0)
		return 0;
	if (batch_us > 0)
		pause_us(batch_us);
	return drain(s, buf, size, slot, records, max, err);
}

// It returns the bytes that were taken: fewer than length when the send buffer is full.
int brume_send(SRTSOCKET s, const char *buf, int length, int slot, int burst, int pause, int *err)
{
	int sent = 0, messages = 0;
	*err = 0;
	while (sent < length) {
		if (messages == burst) {
			pause_us(pause);
			messages = 0;
		}
		int n = length - sent < slot ? length - sent : slot;
		SRT_MSGCTRL control;
		srt_msgctrl_init(&control);
		int r = srt_sendmsg2(s, buf + sent, n, &control);
		if (r < 0) {
			fail(err);
			return sent > 0 || *err == SRT_EASYNCSND ? sent : -1;
		}
		sent += n;
		messages++;
	}
	return sent;
}

// With clear interval counters begin anew; the buffers' levels are those of now and no averages.
int brume_stats(SRTSOCKET s, SRT_TRACEBSTATS *stats, int clear, int *err)
{
	return srt_bistats(s, stats, clear, 1) < 0 ? fail(err) : 0;
}

int brume_get(SRTSOCKET s, int option, void *value, int *length, int *err)
{
	return srt_getsockflag(s, (SRT_SOCKOPT)option, value, length) < 0 ? fail(err) : 0;
}

// The log: a ring that libsrt's threads fill and Go empties. No thread ever waits for the other side's work.
enum { LINES = 32 };

static struct {
	pthread_mutex_t lock;
	brume_line lines[LINES];
	int count;
	uint64_t lost;
	int rejected;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void on_line(void *opaque, int level, const char *file, int line, const char *area, const char *message)
{
	(void)opaque;
	(void)file;
	(void)line;
	(void)area;
	brume_line l = {.level = level, .count = 1};
	if (strstr(message, "no pending connection available"))
		return; // every srt_accept that finds nobody
	const char *code = strstr(message, "rsp(REJECT): ");
	if (code)
		__atomic_store_n(&ring.rejected, atoi(code + strlen("rsp(REJECT): ")), __ATOMIC_RELEASE);
	while (*message == ':' || *message == ' ')
		message++;
	snprintf(l.text, sizeof l.text, "%s", message);
	for (size_t n = strlen(l.text); n > 0 && (unsigned char)l.text[n - 1] <= ' '; n--)
		l.text[n - 1] = 0;
	pthread_mutex_lock(&ring.lock);
	if (ring.count > 0 && strcmp(ring.lines[ring.count - 1].text, l.text) == 0)
		ring.lines[ring.count - 1].count++;
	else if (ring.count < LINES)
		ring.lines[ring.count++] = l;
	else
		ring.lost++;
	pthread_mutex_unlock(&ring.lock);
}

void brume_log_start(int level)
{
	srt_setloglevel(level);
	srt_setlogflags(SRT_LOGF_DISABLE_TIME | SRT_LOGF_DISABLE_THREADNAME | SRT_LOGF_DISABLE_SEVERITY | SRT_LOGF_DISABLE_EOL);
	srt_setloghandler(NULL, on_line);
}

// libsrt tells a listener nothing of the callers that it rejects but in this line.
int brume_log_rejected(void)
{
	return __atomic_load_n(&ring.rejected, __ATOMIC_ACQUIRE);
}

int brume_log_drain(brume_line *lines, int max, uint64_t *lost)
{
	pthread_mutex_lock(&ring.lock);
	int n = ring.count < max ? ring.count : max;
	memcpy(lines, ring.lines, n * sizeof *lines);
	memmove(ring.lines, ring.lines + n, (ring.count - n) * sizeof *lines);
	ring.count -= n;
	*lost = ring.lost;
	ring.lost = 0;
	pthread_mutex_unlock(&ring.lock);
	return n;
}
