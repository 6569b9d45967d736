#include "textflag.h"

DATA ·denied+0(SB)/8, $"sandbox:"
DATA ·denied+8(SB)/8, $" denied "
DATA ·denied+16(SB)/8, $"system c"
DATA ·denied+24(SB)/4, $"all "
GLOBL ·denied(SB), RODATA|NOPTR, $28

// func deny()
TEXT ·deny(SB), NOSPLIT|NOFRAME, $0-0
	SUB	$32, RSP
	MOVWU	24(R1), R3		// siginfo.si_syscall
	MOVD	RSP, R4
	ADD	$31, R4, R5
	MOVD	$10, R6			// '\n', and the base
	MOVB	R6, (R5)
digit:
	UDIVW	R6, R3, R7
	MSUBW	R6, R3, R7, R9		// R9 = R3 - R7*R6
	ADDW	$48, R9, R9		// '0'
	SUB	$1, R5, R5
	MOVB	R9, (R5)
	MOVWU	R7, R3
	CBNZW	R3, digit

	MOVD	$64, R8			// write
	MOVD	$2, R0
	MOVD	$·denied(SB), R1
	MOVD	$28, R2
	SVC
	MOVD	$64, R8			// write
	MOVD	$2, R0
	MOVD	R5, R1
	ADD	$32, R4, R2
	SUB	R5, R2, R2
	SVC
	MOVD	$94, R8			// exit_group
	MOVD	$159, R0		// ExitDenied
	SVC
	BRK

// func denyEntry() uintptr
TEXT ·denyEntry(SB), NOSPLIT, $0-8
	MOVD	$·deny(SB), R0
	MOVD	R0, ret+0(FP)
	RET
