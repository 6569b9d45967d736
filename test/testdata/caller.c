// A caller of libsrt that tells with which code it was rejected, which neither ffmpeg nor srt-live-transmit does.
//
//	caller HOST PORT STREAMID PASSPHRASE live|file|buffer
#include <arpa/inet.h>
#include <netinet/in.h>
#include <srt/srt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SRTSOCKET make(const char *id, const char *passphrase, const char *mode)
{
	int no = 0, type = strcmp(mode, "file") == 0 ? SRTT_FILE : SRTT_LIVE;
	SRTSOCKET s = srt_create_socket();
	srt_setsockflag(s, SRTO_TRANSTYPE, &type, sizeof type);
	if (strcmp(mode, "buffer") == 0)
		srt_setsockflag(s, SRTO_MESSAGEAPI, &no, sizeof no);
	if (*id)
		srt_setsockflag(s, SRTO_STREAMID, id, (int)strlen(id));
	if (*passphrase)
		srt_setsockflag(s, SRTO_PASSPHRASE, passphrase, (int)strlen(passphrase));
	return s;
}

int main(int argc, char **argv)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr *to = (struct sockaddr *)&v4;
	int size = sizeof v4;
	SRTSOCKET s;
	if (argc != 6)
		return 2;
	v4.sin_port = v6.sin6_port = htons((unsigned short)atoi(argv[2]));
	if (inet_pton(AF_INET6, argv[1], &v6.sin6_addr) == 1) {
		to = (struct sockaddr *)&v6;
		size = sizeof v6;
	} else if (inet_pton(AF_INET, argv[1], &v4.sin_addr) != 1) {
		return 2;
	}
	srt_startup();
	srt_setloglevel(LOG_CRIT);
	s = make(argv[3], argv[4], argv[5]);
	if (srt_connect(s, to, size) < 0)
		printf("rejected %d\n", srt_getrejectreason(s));
	else
		printf("connected\n");
	fflush(stdout);
	srt_close(s);
	srt_cleanup();
	return 0;
}
