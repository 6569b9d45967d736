#include "shim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// A datagram that libsrt is to believe its peer has sent. It is given to libsrt's receiving thread by recvmsg, which
// takes the place of the C library's, of which libsrt is the only user here.
static struct {
	pthread_mutex_t lock;
	int32_t open; // the thread waits for it as for the socket
	int fd;       // of the socket
	int event;    // eventfd, readable while there is a datagram
	struct sockaddr_storage peer;
	socklen_t peer_length;
	char data[64];
	size_t length; // 0 for none
	uint32_t stale; // the cookie of the handshake that the caller was in before, in network order
	int32_t repeats;
} knock = {.lock = PTHREAD_MUTEX_INITIALIZER, .event = -1};

// wait_ms is how long libsrt's receiving thread is kept from its other work: about as long as its own timeout does on a
// kernel with 250 ticks a second.
enum { WAIT_MS = 4 };

// The socket is connected. libsrt may not have it yet.
int brume_knock_open(int fd)
{
	struct sockaddr_storage peer;
	socklen_t length = sizeof peer;
	int ok = getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
	pthread_mutex_lock(&knock.lock);
	if (ok && knock.event < 0)
		knock.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ok = ok && knock.event >= 0;
	if (ok) {
		knock.fd = fd;
		knock.peer = peer;
		knock.peer_length = length;
		knock.length = 0;
		__atomic_store_n(&knock.open, 1, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&knock.lock);
	return ok ? 0 : -1;
}

void brume_knock(const char *data, size_t length, uint32_t stale)
{
	uint64_t one = 1;
	pthread_mutex_lock(&knock.lock);
	if (knock.open && length <= sizeof knock.data) {
		knock.stale = htonl(stale);
		memcpy(knock.data, data, length);
		knock.length = length;
		if (write(knock.event, &one, sizeof one) < 0) {
			// It is readable already.
		}
	}
	pthread_mutex_unlock(&knock.lock);
}

// From now on the thread waits for the socket alone.
void brume_knock_shut(void)
{
	pthread_mutex_lock(&knock.lock);
	__atomic_store_n(&knock.open, 0, __ATOMIC_RELEASE);
	knock.length = 0;
	pthread_mutex_unlock(&knock.lock);
}

int brume_knock_repeats(void)
{
	return __atomic_load_n(&knock.repeats, __ATOMIC_ACQUIRE);
}

// is_stale tells whether a datagram of a header and its content, as libsrt reads them, is a handshake with the stale cookie
// (draft-sharabayko-srt 3.2.1).
static int is_stale(const struct msghdr *message, ssize_t length)
{
	enum { HEADER = 16, COOKIE = 28, CONTENT = 48 };
	if (length < HEADER + CONTENT || message->msg_iovlen != 2 || message->msg_iov[0].iov_len != HEADER)
		return 0;
	const uint8_t *header = message->msg_iov[0].iov_base;
	const uint8_t *content = message->msg_iov[1].iov_base;
	return header[0] == 0x80 && header[1] == 0 && memcmp(content + COOKIE, &knock.stale, sizeof knock.stale) == 0;
}

// take gives out the datagram that waits for this socket, if there is one.
static ssize_t take(int fd, struct msghdr *message)
{
	uint64_t events;
	size_t taken = 0;
	pthread_mutex_lock(&knock.lock);
	if (knock.open && knock.fd == fd && knock.length > 0 && message->msg_namelen >= knock.peer_length) {
		if (read(knock.event, &events, sizeof events) < 0) {
			// Nobody waits for it.
		}
		for (size_t i = 0; i < message->msg_iovlen && taken < knock.length; i++) {
			size_t n = knock.length - taken;
			if (n > message->msg_iov[i].iov_len)
				n = message->msg_iov[i].iov_len;
			memcpy(message->msg_iov[i].iov_base, knock.data + taken, n);
			taken += n;
		}
		memcpy(message->msg_name, &knock.peer, knock.peer_length);
		message->msg_namelen = knock.peer_length;
		message->msg_controllen = 0;
		message->msg_flags = 0;
		knock.length = 0;
	}
	pthread_mutex_unlock(&knock.lock);
	return (ssize_t)taken;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	if (__atomic_load_n(&knock.open, __ATOMIC_ACQUIRE) && knock.fd == fd) {
		struct pollfd ready[] = {{.fd = fd, .events = POLLIN}, {.fd = knock.event, .events = POLLIN}};
		poll(ready, 2, WAIT_MS);
		ssize_t n = take(fd, message);
		if (n > 0)
			return n;
		if (ready[0].revents == 0) {
			errno = EAGAIN;
			return -1;
		}
		n = syscall(SYS_recvmsg, fd, message, flags);
		if (is_stale(message, n))
			__atomic_add_fetch(&knock.repeats, 1, __ATOMIC_RELEASE);
		return n;
	}
	return syscall(SYS_recvmsg, fd, message, flags);
}
