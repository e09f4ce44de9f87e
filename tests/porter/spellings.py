"""Spellings of every sensitive instruction and what they are ported to. Data for ``test_spellings``.

Each line is ``as written -> ported``; "left" on the right where there is nothing to port to. All of the
left-hand sides assemble; the set covers every mnemonic of the catalogue that GAS knows in 32-bit code.
"""

PORTED = """
cli -> r3_cli
CLI -> r3_cli
cli.s -> r3_cli
wait cli -> left
sti -> r3_sti
pushf -> r3_pushf
pushfl -> r3_pushf
pushfw -> r3_pushfw
data16 pushf -> r3_pushfw
word pushf -> r3_pushfw
popf -> r3_popf
popfl -> r3_popf
popfw -> r3_popfw
hlt -> r3_hlt
monitor -> r3_monitor
monitor %eax,%ecx,%edx -> r3_monitor
mwait -> r3_mwait
mwait %eax,%ecx -> r3_mwait
in %dx,%al -> r3_in %dx,%al
in (%dx),%eax -> r3_in %dx, %eax
in %dx -> r3_in %dx, %eax
inb %dx -> r3_in %dx, %al
inb (%dx) -> r3_in %dx, %al
inb (%dx),%al -> r3_in %dx, %al
inb %edx -> r3_in %dx, %al
data16 in %dx,%eax -> left
inb $0x60,%al -> r3_in $0x60,%al
inb $0x60 -> r3_in $0x60, %al
INB $0x60 , %AL -> r3_in $0x60, %al
inw %dx,%ax -> r3_in %dx,%ax
inl $5 -> r3_in $5, %eax
inl %dx,%eax -> r3_in %dx,%eax
inw $SYM + 1,%ax -> r3_in $SYM+1, %ax
out %al,%dx -> r3_out %al,%dx
out %eax,(%dx) -> r3_out %eax, %dx
outb %al,$0x20 -> r3_out %al,$0x20
outb $0x20 -> r3_out %al, $0x20
outb %dx -> r3_out %al, %dx
outw %ax,%dx -> r3_out %ax,%dx
outw $5 -> r3_out %ax, $5
outl %eax,%dx -> r3_out %eax,%dx
ins (%dx),%es:(%edi) -> r3_insl
insb -> r3_insb
insb (%dx),(%edi) -> r3_insb
insw -> r3_insw
insl %dx,%es:(%edi) -> r3_insl
rep insb -> r3_rep_insb
rep insl (%dx),%es:(%edi) -> r3_rep_insl
repz insw -> r3_rep_insw
repe insl -> r3_rep_insl
repne insl -> r3_rep_insl
REPNZ INSL -> r3_rep_insl
outs (%esi),%dx -> r3_outsl
rep/insb -> r3_rep_insb
data16 outsb -> r3_outsb
ht outsl -> r3_outsl
outsb -> r3_outsb
outsw %ds:(%esi),(%dx) -> r3_outsw
outsl -> r3_outsl
outsb %fs:(%esi),(%dx) -> r3_outsb %fs
fs outsb -> r3_outsb %fs
rep outsb -> r3_rep_outsb
rep fs outsw -> r3_rep_outsw %fs
es rep outsl -> r3_rep_outsl %es
ds outsl -> r3_outsl
addr16 insb -> left
outsb (%si),%dx -> left
mov %eax,%cr0 -> r3_write_cr0 %eax
movl %ebx,%cr2 -> r3_write_cr2 %ebx
movl %ecx , %cr3 -> r3_write_cr3 %ecx
MOVL %EAX,%CR4 -> r3_write_cr4 %eax
mov %cr0,%eax -> r3_read_cr0 %eax
mov % cr0,% eax -> r3_read_cr0 %eax
mov.s %cr0,%eax -> r3_read_cr0 %eax
movl %cr2,%edx -> r3_read_cr2 %edx
mov %cr3,%esp -> r3_read_cr3 %esp
{load} mov %cr4,%eax -> r3_read_cr4 %eax
movl %cr8,%eax -> left
mov %eax,%dr0 -> r3_write_dr0 %eax
mov %eax,%db7 -> r3_write_dr7 %eax
movl %dr6,%eax -> r3_read_dr6 %eax
movl %db3,%esi -> r3_read_dr3 %esi
lmsw %ax -> r3_lmsw %ax
lmsww (%eax) -> r3_lmsw (%eax)
smsw %eax -> r3_smsw %eax
smswl %ecx -> r3_smsw %ecx
smsww 4(%esp) -> r3_smsw 4(%esp)
clts -> r3_clts
lgdt SYM -> r3_lgdt SYM
lgdtl 4(%eax,%ebx,8) -> r3_lgdt 4(%eax,%ebx,8)
lgdt %cs:SYM+2 -> r3_lgdt %cs:SYM+2
cs lgdt SYM -> r3_lgdt %cs:SYM
hnt lgdt SYM -> r3_lgdt %cs:SYM
es lgdt %ds:SYM -> left
lgdt.d8 4(%eax) -> r3_lgdt 4(%eax)
{disp32} lgdt 4(%eax) -> r3_lgdt 4(%eax)
lgdtw (%eax) -> left
data16 lgdt (%eax) -> left
lidt (%eax) -> r3_lidt (%eax)
lidtl SYM(,%edi,2) -> r3_lidt SYM(,%edi,2)
lidtw (%eax) -> left
sgdt (%ecx) -> r3_sgdt (%ecx)
sgdtl -8(%ebp) -> r3_sgdt -8(%ebp)
sgdtw (%eax) -> left
sidt %gs:4 -> r3_sidt %gs:4
sidtl (%eax) -> r3_sidt (%eax)
sidtw (%eax) -> left
lldt %ax -> r3_lldt %ax
lldtw 2(%eax) -> r3_lldt 2(%eax)
ltr %cx -> r3_ltr %cx
ltrw 0x18(%ebx) -> r3_ltr 0x18(%ebx)
sldt %eax -> r3_sldt %eax
sldtw (%eax) -> r3_sldt (%eax)
sldtl %ebx -> r3_sldt %ebx
str %ax -> r3_str %ax
strl %edi -> r3_str %edi
strw (%esi) -> r3_str (%esi)
lar %ax,%cx -> r3_lar %cx, %ax
larl (%ecx,%edx),%eax -> r3_lar %eax, (%ecx,%edx)
larw (%ecx),%bx -> r3_lar %bx, (%ecx)
lsl %eax,%eax -> r3_lsl %eax, %eax
lsll SYM,%eax -> r3_lsl %eax, SYM
lslw %ax,%dx -> r3_lsl %dx, %ax
verr %ax -> r3_verr %ax
verrw (%eax) -> r3_verr (%eax)
verw 4(%esp) -> r3_verw 4(%esp)
verww %dx -> r3_verw %dx
arpl %ax,(%ecx) -> r3_arpl %ax,(%ecx)
arplw %ax,%cx -> r3_arpl %ax,%cx
mov %ax,%ds -> r3_load_ds %ax
movw %ax,%es -> r3_load_es %ax
movl %eax,%ss -> r3_load_ss %eax
movw 4(%ebp),%fs -> r3_load_fs 4(%ebp)
mov %fs:SYM,%gs -> r3_load_gs %fs:SYM
fs mov SYM,%gs -> r3_load_gs %fs:SYM
pop %ds -> r3_pop_ds
popl %es -> r3_pop_es
popw %ss -> r3_popw_ss
data16 pop %fs -> r3_popw_fs
lds (%eax),%ecx -> r3_lds %ecx, (%eax)
ldsl SYM,%edi -> r3_lds %edi, SYM
ldsw SYM,%di -> r3_lds %di, SYM
les 4(%eax),%edx -> r3_les %edx, 4(%eax)
lesl 4(%eax),%edx -> r3_les %edx, 4(%eax)
lesw 4(%eax),%dx -> r3_les %dx, 4(%eax)
lss 8(%esi),%esp -> r3_lss %esp, 8(%esi)
lssl 8(%esi),%esp -> r3_lss %esp, 8(%esi)
lssw 8(%esi),%sp -> r3_lss %sp, 8(%esi)
lfs (%eax),%eax -> r3_lfs %eax, (%eax)
lfsl (%eax),%eax -> r3_lfs %eax, (%eax)
lfsw (%eax),%ax -> r3_lfs %ax, (%eax)
lgs (%eax),%eax -> r3_lgs %eax, (%eax)
lgsl (%eax),%eax -> r3_lgs %eax, (%eax)
lgsw (%eax),%ax -> r3_lgs %ax, (%eax)
mov %cs,%eax -> r3_store_cs %eax
movl %ds,%ecx -> r3_store_ds %ecx
movw %es,%ax -> r3_store_es %ax
mov %ss,SYM(%eax) -> r3_store_ss SYM(%eax)
mov %gs,%bp -> r3_store_gs %bp
push %cs -> r3_push_cs
pushl %ds -> r3_push_ds
pushw %ss -> r3_pushw_ss
data16 push %gs -> r3_pushw_gs
ljmp $8,$SYM -> r3_ljmp $8,$SYM
ljmpl $(1<<3), $SYM+4 -> r3_ljmp $(1<<3), $SYM+4
ljmp $SYM | 3 , $SYM -> r3_ljmp $SYM|3, $SYM
ljmp $8,$ 8 -> r3_ljmp $8, $8
jmp.d32 $8,$SYM -> r3_ljmp $8,$SYM
jmp $8,$SYM -> r3_ljmp $8,$SYM
jmpl $8,$SYM -> r3_ljmp $8,$SYM
jmpw $8,$2 -> left
ljmp *SYM -> r3_ljmp_mem SYM
ljmpl *(%esp) -> r3_ljmp_mem (%esp)
ljmp *%cs:SYM -> r3_ljmp_mem %cs:SYM
ljmp (%eax) -> r3_ljmp_mem (%eax)
ljmpw $8,$2 -> left
lcall $8,$SYM -> r3_lcall $8,$SYM
lcall *4(%eax) -> r3_lcall_mem 4(%eax)
lcalll *SYM -> r3_lcall_mem SYM
lcallw *SYM -> left
call $8,$SYM -> r3_lcall $8,$SYM
calll $8,$SYM -> r3_lcall $8,$SYM
callw $8,$2 -> left
lret -> r3_lret
lretl -> r3_lret
lretw -> r3_lretw
lret $8 -> r3_lret_n $8
lret $ 8 + 1 -> r3_lret_n $8+1
lretl $8 -> r3_lret_n $8
lretw $8 -> left
retf -> r3_lret
retfl -> r3_lret
retfw -> r3_lretw
retf $4 -> r3_lret_n $4
iret -> r3_iret
iretl -> r3_iret
iretw -> r3_iretw
int $0x80 -> r3_int $0x80
int $3 -> r3_int $3
INT $SYM -> r3_int $SYM
int3 -> r3_int3
into -> r3_into
int1 -> left
bound %eax,(%ecx) -> left
boundw %ax,(%ecx) -> left
boundl %eax,(%ecx) -> left
sysenter -> r3_sysenter
sysexit -> r3_sysexit
syscall -> r3_syscall
sysret -> r3_sysret
sysretl -> r3_sysret
invlpg (%eax) -> r3_invlpg (%eax)
invlpg %gs:(%eax) -> r3_invlpg %gs:(%eax)
invpcid (%eax),%ecx -> r3_invpcid %ecx, (%eax)
wbinvd -> r3_wbinvd
wbnoinvd -> r3_wbinvd
invd -> r3_invd
rdmsr -> r3_rdmsr
wrmsr -> r3_wrmsr
rdpmc -> r3_rdpmc
cpuid -> r3_cpuid
rdtscp -> r3_rdtscp
xsetbv -> r3_xsetbv
xgetbv -> r3_xgetbv
stac -> r3_stac
clac -> r3_clac
xsaves (%eax) -> left
xrstors (%eax) -> left
xsavec (%eax) -> same
vmcall -> r3_vmcall
vmlaunch -> left
vmresume -> left
vmxoff -> left
vmxon (%eax) -> left
vmclear (%eax) -> left
vmptrld (%eax) -> left
vmptrst (%eax) -> left
vmread %eax,%ecx -> left
vmwrite %eax,%ecx -> left
vmfunc -> r3_vmfunc
invept (%eax),%ecx -> left
invvpid (%eax),%ecx -> left
vmmcall -> r3_vmmcall
vmrun -> left
vmload -> left
vmsave -> left
stgi -> left
clgi -> left
skinit -> left
invlpga -> left
getsec -> left
rsm -> left
rdpid %eax -> left
enclv -> left
encls -> left
pconfig -> left
wrmsrns -> left
hreset $1 -> left
enqcmds (%eax),%ecx -> left
setssbsy -> left
clrssbsy (%eax) -> left
wrussd %ecx,(%eax) -> left
tdcall -> left
invlpgb -> left
tlbsync -> left
pvalidate -> left
"""

# Not sensitive: no change, and nothing reported.
ORDINARY = """
mov %eax,%ecx
movl %gs:20,%eax
movl %fs:(%ecx),%edx
mov %eax,%ds:4
push %eax
pushl %ds:4
popl %gs:8
jmp SYM
jmp *%eax
call *%cs:SYM
call SYM
ret
ret $4
rep movsl
rep; stosb
rdtsc
ud2
pause
clflush (%eax)
fxsave (%eax)
fxrstor (%eax)
lea SYM(%eax),%esi
movsw
lodsl
lahf
sahf
std
cld
stc
clc
leave
inc %eax
mov %ax,%cs
insertps $1,%xmm0,%xmm1
lock incl SYM
.ascii "cli; hlt"
.byte 0xfa, 0xf4
cli:
in_port:
int = 4
"""

# Mnemonics of the table that capstone does not know.
UNDECODED = frozenset({"wrmsrns", "hreset", "enqcmds", "tdcall", "invlpgb", "tlbsync", "pvalidate"})

# Of 64-bit mode only: GAS refuses them in 32-bit code.
LONG_MODE = ["swapgs", "iretq", "lretq", "pushfq", "popfq", "sysretq", "sysexitq", "rdfsbase", "rdgsbase",
             "wrfsbase", "wrgsbase", "movq"]
LONG_OPERANDS = """
mov %cr0,%rax
mov %r11,%cr4
movq %rax,%cr3
mov %cr8,%rax
mov %rbx,%cr8
mov %dr7,%r8
mov %rax,%ds
movq %ds,%rax
MOV %RAX,%CR3
str %rax
sldtq %rbx
smsw %r15
smswq %rax
lar %rax,%rbx
lslq %rax,%rbx
pushq %fs
popq %gs
"""
