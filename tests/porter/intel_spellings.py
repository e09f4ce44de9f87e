"""Spellings of every sensitive instruction in Intel syntax (noprefix). Data for ``test_intel``.

Each line is ``as written -> ported == the same instruction in AT&T syntax``; "left" and "same" as in ``spellings``.
"""

PORTED = """
cli -> r3i_cli == cli
CLI -> r3i_cli == cli
sti -> r3i_sti == sti
pushf -> r3i_pushf == pushf
pushfd -> r3i_pushf == pushf
pushfw -> r3i_pushfw == pushfw
data16 pushf -> r3i_pushfw == pushfw
popf -> r3i_popf == popf
popfd -> r3i_popf == popf
popfw -> r3i_popfw == popfw
hlt -> r3i_hlt == hlt
monitor -> r3i_monitor == monitor
monitor eax,ecx,edx -> r3i_monitor == monitor
mwait -> r3i_mwait == mwait
mwait eax,ecx -> r3i_mwait == mwait
in al,dx -> r3i_in al,dx == in %dx,%al
ind edx -> r3i_in eax, dx == in %dx,%eax
out edx,al -> r3i_out dx, al == out %al,%dx
in al, (dx) -> r3i_in al, dx == in %dx,%al
IN EAX,DX -> r3i_in eax, dx == in %dx,%eax
in eax,0x60 -> r3i_in eax,0x60 == in $0x60,%eax
in ax , SYM + 1 -> r3i_in ax , SYM + 1 == in $SYM+1,%ax
in al, offset SYM -> r3i_in al, SYM == in $SYM,%al
in al, (8) -> r3i_in al, (8) == in $8,%al
lgdt offset 4[ebp] -> r3i_lgdt 4[ebp] == lgdt 4(%ebp)
in al, byte ptr 4 -> r3i_in al, 4 == in $4,%al
in %al, %dx -> r3i_in %al, %dx == in %dx,%al
inb dx -> r3i_in al, dx == in %dx,%al
inb al,dx -> r3i_in al,dx == in %dx,%al
in byte ptr 8 -> r3i_in al, 8 == in $8,%al
inw 0x60 -> r3i_in ax, 0x60 == in $0x60,%ax
ind eax,dx -> r3i_in eax,dx == in %dx,%eax
out dx,al -> r3i_out dx,al == out %al,%dx
out DX, EAX -> r3i_out dx, eax == out %eax,%dx
out 0x20,al -> r3i_out 0x20,al == out %al,$0x20
out SYM + 1,al -> r3i_out "SYM + 1", al == out %al,$SYM+1
out offset SYM,al -> r3i_out SYM, al == out %al,$SYM
outb 0x20 -> r3i_out 0x20, al == out %al,$0x20
fs out SYM,al -> r3i_out SYM,al == fs out %al,$SYM
outd dx -> r3i_out dx, eax == out %eax,%dx
insb -> r3i_insb == insb
insw -> r3i_insw == insw
insd -> r3i_insl == insl
ins byte ptr es:[edi],dx -> r3i_insb == insb
INS WORD PTR [EDI], DX -> r3i_insw == insw
insd es:[edi],dx -> r3i_insl == insl
rep insb -> r3i_rep_insb == rep insb
rep insd -> r3i_rep_insl == rep insl
repz ins dword ptr es:[edi], dx -> r3i_rep_insl == rep insl
repne insw -> r3i_rep_insw == repne insw
outsb -> r3i_outsb == outsb
outsd -> r3i_outsl == outsl
outs dx,word ptr [esi] -> r3i_outsw == outsw
outs dx, dword ptr fs:[esi] -> r3i_outsl fs == outsl %fs:(%esi),(%dx)
outs dx, dword ptr %fs:[%esi] -> r3i_outsl fs == outsl %fs:(%esi),(%dx)
outs dx, byte ptr ds:[esi] -> r3i_outsb == outsb
fs outsb -> r3i_outsb fs == fs outsb
rep outsd -> r3i_rep_outsl == rep outsl
rep es outsd -> r3i_rep_outsl es == rep es outsl
outsb dx, gs:[esi] -> r3i_outsb gs == gs outsb
ins dword ptr [di],dx -> left == insl (%dx),(%di)
addr16 insb -> left == addr16 insb
mov cr0,eax -> r3i_write_cr0 eax == mov %eax,%cr0
MOV CR2 , EBX -> r3i_write_cr2 ebx == mov %ebx,%cr2
mov cr3, %ecx -> r3i_write_cr3 %ecx == mov %ecx,%cr3
mov cr4,(eax) -> r3i_write_cr4 eax == mov %eax,%cr4
mov eax,cr0 -> r3i_read_cr0 eax == mov %cr0,%eax
movd eax,cr2 -> r3i_read_cr2 eax == mov %cr2,%eax
mov esp,cr3 -> r3i_read_cr3 esp == mov %cr3,%esp
{load} mov eax,cr4 -> r3i_read_cr4 eax == mov %cr4,%eax
mov dr0,eax -> r3i_write_dr0 eax == mov %eax,%dr0
mov db7,eax -> r3i_write_dr7 eax == mov %eax,%dr7
mov eax,dr6 -> r3i_read_dr6 eax == mov %dr6,%eax
mov esi,db3 -> r3i_read_dr3 esi == mov %dr3,%esi
lmsw ax -> r3i_lmsw ax == lmsw %ax
lmsw word ptr [eax] -> r3i_lmsw word ptr [eax] == lmsw (%eax)
smsw eax -> r3i_smsw eax == smsw %eax
smsw [esp+4] -> r3i_smsw [esp+4] == smsw 4(%esp)
smswd ecx -> r3i_smsw ecx == smswl %ecx
clts -> r3i_clts == clts
lgdt [eax] -> r3i_lgdt [eax] == lgdt (%eax)
lgdt fword ptr [eax+ebx*8+4] -> r3i_lgdt fword ptr [eax+ebx*8+4] == lgdt 4(%eax,%ebx,8)
lgdtd other -> r3i_lgdt other == lgdt other
lgdt FWORD PTR cs:other+2 -> r3i_lgdt FWORD PTR cs:other+2 == lgdt %cs:other+2
cs lgdt other -> r3i_lgdt cs:other == cs lgdt other
cs lgdt fword ptr [other] -> r3i_lgdt cs:fword ptr [other] == cs lgdt other
lgdt ds:0x1234 -> r3i_lgdt ds:0x1234 == lgdt 0x1234
lgdtw [eax] -> left == lgdtw (%eax)
data16 lgdt [eax] -> left == lgdtw (%eax)
lidt [eax] -> r3i_lidt [eax] == lidt (%eax)
lidt other[edi*2] -> r3i_lidt other[edi*2] == lidt other(,%edi,2)
lidt [other + edi * 2] -> r3i_lidt [other + edi * 2] == lidt other(,%edi,2)
lidt fword ptr (other) -> r3i_lidt fword ptr (other) == lidt other
lidtw [eax] -> left == lidtw (%eax)
sgdt [ecx] -> r3i_sgdt [ecx] == sgdt (%ecx)
sgdt -8[ebp] -> r3i_sgdt -8[ebp] == sgdt -8(%ebp)
sgdtw [eax] -> left == sgdtw (%eax)
sidt gs:[4] -> r3i_sidt gs:[4] == sidt %gs:4
sidtd [eax][ebx] -> r3i_sidt [eax][ebx] == sidt (%eax,%ebx)
sidtw [eax] -> left == sidtw (%eax)
lldt ax -> r3i_lldt ax == lldt %ax
lldt word ptr 2[eax] -> r3i_lldt word ptr 2[eax] == lldt 2(%eax)
ltr CX -> r3i_ltr cx == ltr %cx
ltr [ebx+0x18] -> r3i_ltr [ebx+0x18] == ltr 0x18(%ebx)
sldt eax -> r3i_sldt eax == sldt %eax
sldt word ptr [eax] -> r3i_sldt word ptr [eax] == sldt (%eax)
str ax -> r3i_str ax == str %ax
strd edi -> r3i_str edi == str %edi
str [esi] -> r3i_str [esi] == str (%esi)
lar cx,ax -> r3i_lar cx,ax == lar %ax,%cx
lar eax, word ptr [ecx+edx] -> r3i_lar eax, word ptr [ecx+edx] == lar (%ecx,%edx),%eax
lar bx,[ecx] -> r3i_lar bx,[ecx] == lar (%ecx),%bx
lsl eax,eax -> r3i_lsl eax,eax == lsl %eax,%eax
lsl eax,other -> r3i_lsl eax,other == lsl other,%eax
lslw dx,ax -> r3i_lsl dx,ax == lsl %ax,%dx
verr ax -> r3i_verr ax == verr %ax
verr word ptr [eax] -> r3i_verr word ptr [eax] == verr (%eax)
verw [esp+4] -> r3i_verw [esp+4] == verw 4(%esp)
arpl [ecx],ax -> r3i_arpl ax, [ecx] == arpl %ax,(%ecx)
arpl word ptr [ecx+4], ax -> r3i_arpl ax, word ptr [ecx+4] == arpl %ax,4(%ecx)
arpl cx,ax -> r3i_arpl ax, cx == arpl %ax,%cx
mov ds,ax -> r3i_load_ds ax == mov %ax,%ds
mov ds,eax -> r3i_load_ds eax == mov %eax,%ds
movw es,ax -> r3i_load_es ax == mov %ax,%es
mov ss,eax -> r3i_load_ss eax == mov %eax,%ss
mov ss, word ptr [esp] -> r3i_load_ss word ptr [esp] == mov (%esp),%ss
mov fs,[ebp+4] -> r3i_load_fs [ebp+4] == mov 4(%ebp),%fs
mov gs,fs:other -> r3i_load_gs fs:other == mov %fs:other,%gs
fs mov gs,other -> r3i_load_gs fs:other == mov %fs:other,%gs
mov gs, other -> r3i_load_gs other == mov other,%gs
MOV DS, WORD PTR other -> r3i_load_ds WORD PTR other == mov other,%ds
mov (ds),ax -> r3i_load_ds ax == mov %ax,%ds
mov %ds,%ax -> r3i_load_ds %ax == mov %ax,%ds
pop ds -> r3i_pop_ds == pop %ds
popd es -> r3i_pop_es == pop %es
popw ss -> r3i_popw_ss == popw %ss
data16 pop fs -> r3i_popw_fs == popw %fs
lds ecx,[eax] -> r3i_lds ecx,[eax] == lds (%eax),%ecx
lds edi, fword ptr other -> r3i_lds edi, fword ptr other == lds other,%edi
ldsw di,other -> r3i_lds di,other == ldsw other,%di
les edx,[eax+4] -> r3i_les edx,[eax+4] == les 4(%eax),%edx
les dx, dword ptr [eax+4] -> r3i_les dx, dword ptr [eax+4] == lesw 4(%eax),%dx
lss esp,FWORD PTR [esi+8] -> r3i_lss esp,FWORD PTR [esi+8] == lss 8(%esi),%esp
lss sp,[esi+8] -> r3i_lss sp,[esi+8] == lssw 8(%esi),%sp
lfs eax,[eax] -> r3i_lfs eax,[eax] == lfs (%eax),%eax
lgs eax,[eax] -> r3i_lgs eax,[eax] == lgs (%eax),%eax
mov eax,cs -> r3i_store_cs eax == mov %cs,%eax
mov ECX,ds -> r3i_store_ds ecx == mov %ds,%ecx
mov ax,es -> r3i_store_es ax == mov %es,%ax
mov word ptr other[eax], ss -> r3i_store_ss word ptr other[eax] == mov %ss,other(%eax)
mov [eax],fs -> r3i_store_fs [eax] == mov %fs,(%eax)
mov bp,gs -> r3i_store_gs bp == mov %gs,%bp
push cs -> r3i_push_cs == push %cs
pushd ds -> r3i_push_ds == push %ds
push (es) -> r3i_push_es == push %es
pushw ss -> r3i_pushw_ss == pushw %ss
data16 push gs -> r3i_pushw_gs == pushw %gs
jmp 8:other -> r3i_ljmp 8, other == ljmp $8,$other
jmp 0x8 : other+4 -> r3i_ljmp 0x8, other+4 == ljmp $8,$other+4
jmp SYM:offset other -> r3i_ljmp SYM, other == ljmp $SYM,$other
jmp far ptr 8:other -> r3i_ljmp 8, other == ljmp $8,$other
jmp (1<<3):other -> r3i_ljmp (1<<3), other == ljmp $8,$other
jmp 8, offset other -> r3i_ljmp 8, other == ljmp $8,$other
jmp far ptr [eax] -> r3i_ljmp_mem far ptr [eax] == ljmp *(%eax)
jmp FWORD PTR cs:other -> r3i_ljmp_mem FWORD PTR cs:other == ljmp *%cs:other
jmp fword ptr fs:[eax] -> r3i_ljmp_mem fword ptr fs:[eax] == ljmp *%fs:(%eax)
ljmp 8:other -> r3i_ljmp 8, other == ljmp $8,$other
ljmp 8,other -> r3i_ljmp 8,other == ljmp $8,$other
ljmp SYM -> r3i_ljmp_mem [SYM] == ljmp *SYM
ljmp [eax] -> r3i_ljmp_mem [eax] == ljmp *(%eax)
jmp fword ptr 0x10 -> r3i_ljmp_mem [0x10] == ljmp *0x10
ljmp 0x10 -> r3i_ljmp_mem [0x10] == ljmp *0x10
ljmp offset (other) -> r3i_ljmp_mem [(other)] == ljmp *other
jmpw 8:2 -> left == ljmpw $8,$2
call 8:other -> r3i_lcall 8, other == lcall $8,$other
call far ptr [eax+4] -> r3i_lcall_mem far ptr [eax+4] == lcall *4(%eax)
call fword ptr other -> r3i_lcall_mem [other] == lcall *other
lcall 8,other -> r3i_lcall 8,other == lcall $8,$other
lcall [eax] -> r3i_lcall_mem [eax] == lcall *(%eax)
callw 8:4 -> left == lcallw $8,$4
retf -> r3i_lret == lret
retfd -> r3i_lret == lret
retfw -> r3i_lretw == lretw
retf 8 -> r3i_lret_n 8 == lret $8
retf offset SYM -> r3i_lret_n SYM == lret $SYM
retf word ptr 4 -> left == lretw $4
lret -> r3i_lret == lret
lret 4+4 -> r3i_lret_n 4+4 == lret $8
iret -> r3i_iret == iret
iretd -> r3i_iret == iret
iretw -> r3i_iretw == iretw
int 0x80 -> r3i_int 0x80 == int $0x80
int SYM -> r3i_int SYM == int $SYM
INT 3 + 1 -> r3i_int 3 + 1 == int $4
int 'a' -> r3i_int 'a' == int $'a'
int3 -> r3i_int3 == int3
into -> r3i_into == into
int1 -> left == int1
bound eax,[ecx] -> left == bound %eax,(%ecx)
boundd eax,[ecx] -> left == bound %eax,(%ecx)
boundw ax,[ecx] -> left == boundw %ax,(%ecx)
sysenter -> r3i_sysenter == sysenter
sysexit -> r3i_sysexit == sysexit
syscall -> r3i_syscall == syscall
sysret -> r3i_sysret == sysret
sysretd -> r3i_sysret == sysret
invlpg [eax] -> r3i_invlpg [eax] == invlpg (%eax)
invlpg byte ptr gs:[eax] -> r3i_invlpg byte ptr gs:[eax] == invlpg %gs:(%eax)
invpcid ecx, xmmword ptr [eax] -> r3i_invpcid ecx, xmmword ptr [eax] == invpcid (%eax),%ecx
wbinvd -> r3i_wbinvd == wbinvd
wbnoinvd -> r3i_wbinvd == wbnoinvd
invd -> r3i_invd == invd
rdmsr -> r3i_rdmsr == rdmsr
wrmsr -> r3i_wrmsr == wrmsr
rdpmc -> r3i_rdpmc == rdpmc
cpuid -> r3i_cpuid == cpuid
rdtscp -> r3i_rdtscp == rdtscp
xsetbv -> r3i_xsetbv == xsetbv
xgetbv -> r3i_xgetbv == xgetbv
stac -> r3i_stac == stac
clac -> r3i_clac == clac
xsaves [eax] -> left == xsaves (%eax)
xrstors [eax] -> left == xrstors (%eax)
xsavec [eax] -> same == xsavec (%eax)
vmcall -> r3i_vmcall == vmcall
vmlaunch -> left == vmlaunch
vmresume -> left == vmresume
vmxoff -> left == vmxoff
vmxon [eax] -> left == vmxon (%eax)
vmclear [eax] -> left == vmclear (%eax)
vmptrld [eax] -> left == vmptrld (%eax)
vmptrst [eax] -> left == vmptrst (%eax)
vmread ecx,eax -> left == vmread %eax,%ecx
vmwrite ecx,eax -> left == vmwrite %eax,%ecx
vmfunc -> r3i_vmfunc == vmfunc
invept ecx,[eax] -> left == invept (%eax),%ecx
invvpid ecx,[eax] -> left == invvpid (%eax),%ecx
vmmcall -> r3i_vmmcall == vmmcall
vmrun -> left == vmrun
vmload -> left == vmload
vmsave -> left == vmsave
stgi -> left == stgi
clgi -> left == clgi
skinit -> left == skinit
invlpga -> left == invlpga
getsec -> left == getsec
rsm -> left == rsm
rdpid eax -> left == rdpid %eax
clrssbsy [eax] -> left == clrssbsy (%eax)
wrussd [eax],ecx -> left == wrussd %ecx,(%eax)
"""

# Not sensitive: no change, and nothing reported.
ORDINARY = """
mov eax,ecx
mov eax,gs:[20]
mov edx,dword ptr fs:[ecx]
mov ds:4,eax
mov eax,ds:[ebx]
mov eax,offset other
mov eax,other
push eax
push dword ptr ds:4
pop dword ptr gs:[8]
jmp other
jmp eax
jmp [eax]
jmp dword ptr cs:other
jmp ds:[eax]
call other
call dword ptr [eax+4]
call cs:other
ret
ret 4
rep movsd
rep; stosb
rdtsc
ud2
pause
clflush [eax]
fxsave [eax]
lea esi,other[eax]
movsw
lodsd
leave
enter 8,0
inc eax
movd mm0,eax
insertps xmm1,xmm0,1
lock inc dword ptr other
xchg eax,[ebx]
.ascii "cli; hlt"
.byte 0xfa, 0xf4
cli:
in_port:
int = 4
"""
