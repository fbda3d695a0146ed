/* The first process of a network namespace: it waits, reaps what it inherits, and ends on SIGTERM or SIGINT. It has no
 * C library, so that the image stays under two KiB. */
typedef long word;

#if defined(__x86_64__)
enum { SYS_sigprocmask = 14, SYS_wait4 = 61, SYS_sigtimedwait = 128, SYS_exit = 231 };
static word sys(word n, word a, word b, word c, word d) {
	word r;
	register word r10 __asm__("r10") = d;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
enum { SYS_sigprocmask = 135, SYS_wait4 = 260, SYS_sigtimedwait = 137, SYS_exit = 94 };
static word sys(word n, word a, word b, word c, word d) {
	register word x8 __asm__("x8") = n;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
#else
#error "no system calls for this architecture"
#endif

enum { SIGINT = 2, SIGTERM = 15, SIGCHLD = 17, SIG_BLOCK = 0, WNOHANG = 1, SETSIZE = 8 };

void _start(void) {
	/* Blocked signals wait for sigtimedwait; the kernel would drop unhandled ones of a first process. */
	unsigned long set = 1UL << (SIGINT - 1) | 1UL << (SIGTERM - 1) | 1UL << (SIGCHLD - 1);
	sys(SYS_sigprocmask, SIG_BLOCK, (word)&set, 0, SETSIZE);
	for (;;) {
		word signal = sys(SYS_sigtimedwait, (word)&set, 0, 0, SETSIZE);
		if (signal == SIGINT || signal == SIGTERM)
			sys(SYS_exit, 0, 0, 0, 0);
		while (signal == SIGCHLD && sys(SYS_wait4, -1, 0, WNOHANG, 0) > 0)
			;
	}
}
