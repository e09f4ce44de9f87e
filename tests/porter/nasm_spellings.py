"""NASM's spellings of every sensitive instruction, and what they are ported to. Data for ``test_nasm_spellings``.

Each line is ``as written -> ported``; "left" on the right where there is nothing to port to. All of the left-hand sides
assemble with NASM; the set covers every mnemonic of the catalogue that NASM knows in 32-bit code.
"""

PORTED = """
cli -> r3_cli
CLI -> r3_cli
lab: cli -> lab: r3_cli
lab cli -> lab r3_cli
lab: sti -> lab: r3_sti
times 3 cli -> r3_times 3, r3_cli
lab times SYM - 0x32 cli -> lab r3_times SYM - 0x32, r3_cli
TIMES 2 in al, 5 -> r3_times 2, r3_in al, 5
times 8-($-$$) cli -> left
sti -> r3_sti
pushf -> r3_pushf
pushfd -> r3_pushf
PUSHFD -> r3_pushf
pushfw -> r3_pushfw
o16 pushf -> r3_pushfw
popf -> r3_popf
popfd -> r3_popf
popfw -> r3_popfw
o16 popf -> r3_popfw
hlt -> r3_hlt
monitor -> r3_monitor
monitor eax, ecx, edx -> r3_monitor
mwait -> r3_mwait
mwait eax, ecx -> r3_mwait
in al, dx -> r3_in al, dx
in ax,dx -> r3_in ax,dx
in eax, dx -> r3_in eax, dx
IN AL , DX -> r3_in AL , DX
in al, 0x60 -> r3_in al, 0x60
in al, 60h -> r3_in al, 60h
in ax, byte 5 -> r3_in ax, 5
in eax, SYM + 1 -> r3_in eax, SYM + 1
in al, (SYM - 2) * 2 -> r3_in al, (SYM - 2) * 2
out dx, al -> r3_out dx, al
out dx,ax -> r3_out dx,ax
out dx, eax -> r3_out dx, eax
out 0x20, al -> r3_out 0x20, al
out byte SYM, eax -> r3_out SYM, eax
out 'a', ax -> r3_out 'a', ax
insb -> r3_insb
insw -> r3_insw
insd -> r3_insd
rep insb -> r3_rep_insb
rep insd -> r3_rep_insd
repe insw -> r3_rep_insw
REPNE INSD -> r3_rep_insd
lab rep insd -> lab r3_rep_insd
outsb -> r3_outsb
outsw -> r3_outsw
outsd -> r3_outsd
rep outsb -> r3_rep_outsb
fs outsb -> r3_outsb fs
rep gs outsw -> r3_rep_outsw gs
es rep outsd -> r3_rep_outsd es
ds outsd -> r3_outsd
a16 outsb -> left
mov cr0, eax -> r3_write_cr0 eax
mov cr2, ebx -> r3_write_cr2 ebx
mov CR3 , ECX -> r3_write_cr3 ECX
mov cr4, edx -> r3_write_cr4 edx
mov eax, cr0 -> r3_read_cr0 eax
mov edx, cr2 -> r3_read_cr2 edx
mov esp, cr3 -> r3_read_cr3 esp
mov esi, cr4 -> r3_read_cr4 esi
mov dr0, eax -> r3_write_dr0 eax
mov dr7, edi -> r3_write_dr7 edi
mov eax, dr6 -> r3_read_dr6 eax
mov esi, dr3 -> r3_read_dr3 esi
lmsw ax -> r3_lmsw ax
lmsw [eax] -> r3_lmsw [eax]
lmsw word [eax] -> r3_lmsw [eax]
smsw eax -> r3_smsw eax
smsw cx -> r3_smsw cx
smsw [esp+4] -> r3_smsw [esp+4]
clts -> r3_clts
lgdt [SYM] -> r3_lgdt [SYM]
lgdt [eax+ebx*8+4] -> r3_lgdt [eax+ebx*8+4]
lgdt [ cs : SYM + 2 ] -> r3_lgdt [ cs : SYM + 2 ]
lgdt [dword SYM] -> r3_lgdt [dword SYM]
cs lgdt [SYM] -> r3_lgdt [cs:SYM]
cs lgdt [dword SYM] -> r3_lgdt [cs:dword SYM]
o16 lgdt [eax] -> left
a16 lgdt [SYM] -> left
lidt [eax] -> r3_lidt [eax]
lidt [edi*2+SYM] -> r3_lidt [edi*2+SYM]
o16 lidt [eax] -> left
sgdt [ecx] -> r3_sgdt [ecx]
sgdt [ebp-8] -> r3_sgdt [ebp-8]
o16 sgdt [eax] -> left
sidt [gs:4] -> r3_sidt [gs:4]
o16 sidt [eax] -> left
lldt ax -> r3_lldt ax
lldt word [eax+2] -> r3_lldt [eax+2]
ltr cx -> r3_ltr cx
ltr [ebx+0x18] -> r3_ltr [ebx+0x18]
sldt eax -> r3_sldt eax
sldt word [eax] -> r3_sldt [eax]
str ax -> r3_str ax
str edi -> r3_str edi
str [esi] -> r3_str [esi]
lar cx, ax -> r3_lar cx, ax
lar eax, [ecx+edx] -> r3_lar eax, [ecx+edx]
lar ebx, word [ecx] -> r3_lar ebx, [ecx]
lsl eax, ecx -> r3_lsl eax, ecx
lsl eax, [SYM] -> r3_lsl eax, [SYM]
verr ax -> r3_verr ax
verr word [eax] -> r3_verr [eax]
verw [esp+4] -> r3_verw [esp+4]
arpl [ecx], ax -> r3_arpl ax, [ecx]
arpl word [ecx], ax -> r3_arpl ax, [ecx]
arpl cx, ax -> r3_arpl ax, cx
mov ds, ax -> r3_load_ds ax
mov es, eax -> r3_load_es eax
mov ss, eax -> r3_load_ss eax
mov fs, [ebp+4] -> r3_load_fs [ebp+4]
mov gs, word [fs:SYM] -> r3_load_gs [fs:SYM]
fs mov gs, [SYM] -> r3_load_gs [fs:SYM]
MOV DS, AX -> r3_load_ds AX
times 2 mov ds, ax -> r3_times 2, r3_load_ds ax
pop ds -> r3_pop_ds
pop word es -> r3_pop_es
o16 pop fs -> r3_popw_fs
pop ss -> r3_pop_ss
o16 pop ss -> r3_popw_ss
lds ecx, [eax] -> r3_lds ecx, [eax]
lds di, [SYM] -> r3_lds di, [SYM]
les edx, [eax+4] -> r3_les edx, [eax+4]
lss esp, [esi+8] -> r3_lss esp, [esi+8]
lfs eax, [eax] -> r3_lfs eax, [eax]
lgs ax, [eax] -> r3_lgs ax, [eax]
mov eax, cs -> r3_store_cs eax
mov ecx, ds -> r3_store_ds ecx
mov ax, es -> r3_store_es ax
mov [eax+SYM], ss -> r3_store_ss [eax+SYM]
mov word [SYM], fs -> r3_store_fs [SYM]
mov bp,gs -> r3_store_gs bp
push cs -> r3_push_cs
push ds -> r3_push_ds
push word es -> r3_push_es
o16 push ss -> r3_pushw_ss
o16 push gs -> r3_pushw_gs
jmp 8:SYM -> r3_ljmp 8, SYM
jmp dword 0x08:SYM+4 -> r3_ljmp 0x08, SYM+4
jmp 1 << 3 : SYM -> r3_ljmp 1 << 3, SYM
jmp SYM:dword SYM -> r3_ljmp SYM, SYM
jmp word 8:2 -> left
jmp far [SYM] -> r3_ljmp_mem [SYM]
jmp far dword [esp] -> r3_ljmp_mem [esp]
jmp dword far [cs:eax*4+SYM] -> r3_ljmp_mem [cs:eax*4+SYM]
cs jmp far [eax] -> r3_ljmp_mem [cs:eax]
jmp far word [eax] -> left
call 8:SYM -> r3_lcall 8, SYM
call far [eax+4] -> r3_lcall_mem [eax+4]
CALL FAR [SYM] -> r3_lcall_mem [SYM]
call word far [SYM] -> left
retf -> r3_lret
o32 retf -> r3_lret
o16 retf -> r3_lretw
retf 8 -> r3_lret_n 8
o16 retf 8 -> left
iret -> r3_iret
iretd -> r3_iret
iretw -> r3_iretw
o16 iret -> r3_iretw
int 0x80 -> r3_int 0x80
int 80h -> r3_int 80h
int 3 -> r3_int 3
INT SYM -> r3_int SYM
int3 -> r3_int3
int03 -> r3_int3
into -> r3_into
int1 -> left
int01 -> left
icebp -> left
bound eax, [ecx] -> left
sysenter -> r3_sysenter
sysexit -> r3_sysexit
syscall -> r3_syscall
sysret -> r3_sysret
invlpg [eax] -> r3_invlpg [eax]
invlpg [gs:eax] -> r3_invlpg [gs:eax]
invpcid ecx, [eax] -> r3_invpcid ecx, [eax]
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
xsaves [eax] -> left
xrstors [eax] -> left
vmcall -> r3_vmcall
vmlaunch -> left
vmresume -> left
vmxoff -> left
vmxon [eax] -> left
vmclear [eax] -> left
vmptrld [eax] -> left
vmptrst [eax] -> left
vmread ecx, eax -> left
vmwrite eax, ecx -> left
vmfunc -> r3_vmfunc
invept ecx, [eax] -> left
invvpid ecx, [eax] -> left
vmmcall -> r3_vmmcall
vmrun -> left
vmload -> left
vmsave -> left
stgi -> left
clgi -> left
invlpga -> left
getsec -> left
rsm -> left
rdpid eax -> left
enclv -> left
encls -> left
pconfig -> left
hreset 1 -> left
enqcmds ecx, [eax] -> left
setssbsy -> left
clrssbsy [eax] -> left
wrussd [eax], ecx -> left
pvalidate -> left
rep cli -> left
wait in al, dx -> left
"""

# Not sensitive: no change, and nothing reported.
ORDINARY = """
mov eax, ecx
mov eax, [gs:20]
mov edx, [fs:ecx]
mov [ds:4], eax
mov dword [ss:esp+4], SYM
es lodsb
push eax
push dword [ds:4]
pop dword [gs:8]
jmp SYM
jmp short $
jmp near SYM
jmp [eax]
jmp dword [eax]
call [cs:SYM]
call SYM
ret
ret 4
retn
rep movsd
times 4 nop
times 200-($-$$) db 0
rdtsc
ud2
pause
clflush [eax]
fxsave [eax]
lea esi, [eax+SYM]
movsw
wait
lodsd
lahf
std
stc
leave
inc eax
lock inc dword [SYM]
mov cs, ax
lock_it inc dword [SYM]
db "cli; hlt", 0xfa, 'sti', `in\\ndx`
dd cli_port
cli_port:
in_port: nop
int_number equ 4
msg db "int 0x80", 0
[section .text]
align 4
mov eax, cli_port ; cli ; in al, dx
"""

# Of 64-bit mode only: NASM refuses them in 32-bit code.
LONG_MODE = ["swapgs", "iretq", "retfq", "pushfq", "popfq", "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase",
             "mov eax, cr8", "mov cr8, eax"]
