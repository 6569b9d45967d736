#include "textflag.h"

DATA ·denied+0(SB)/8, $"sandbox:"
DATA ·denied+8(SB)/8, $" denied "
DATA ·denied+16(SB)/8, $"system c"
DATA ·denied+24(SB)/4, $"all "
GLOBL ·denied(SB), RODATA|NOPTR, $28

// func deny()
TEXT ·deny(SB), NOSPLIT|NOFRAME, $0-0
	SUBQ	$32, SP
	MOVL	24(SI), AX		// siginfo.si_syscall
	LEAQ	31(SP), R12
	MOVB	$10, (R12)		// '\n'
	MOVL	$10, CX
digit:
	XORL	DX, DX
	DIVL	CX
	ADDL	$48, DX			// '0'
	DECQ	R12
	MOVB	DX, (R12)
	TESTL	AX, AX
	JNZ	digit

	MOVL	$1, AX			// write
	MOVL	$2, DI
	LEAQ	·denied(SB), SI
	MOVL	$28, DX
	SYSCALL
	MOVL	$1, AX			// write
	MOVL	$2, DI
	MOVQ	R12, SI
	LEAQ	32(SP), DX
	SUBQ	R12, DX
	SYSCALL
	MOVL	$231, AX		// exit_group
	MOVL	$159, DI		// ExitDenied
	SYSCALL
	INT	$3

// func denyEntry() uintptr
TEXT ·denyEntry(SB), NOSPLIT, $0-8
	LEAQ	·deny(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
