package qemu

import "encoding/binary"

// probeExit is QEMU's exit code when the guest has come through: its debug
// device makes (n<<1)|1 of the n that is written to it.
const probeExit = 0x2a<<1 | 1

// probeROM is a whole guest in place of the firmware. It switches the
// processor to protected mode with paging, counts, and ends the machine. Where
// kvm only pretends, the loop takes minutes: each of its instructions leaves
// the guest.
func probeROM() []byte {
	const (
		size  = 64 << 10 // mapped below 1 MiB, at 0xf0000
		base  = 0xf0000
		start = 0x1000
		gdt   = 0x2000
		gdtr  = 0x2100
		main  = 0x3000
		count = 20_000_000
	)
	rom := make([]byte, size)
	put := func(at int, code ...byte) int { return at + copy(rom[at:], code) }
	u16 := binary.LittleEndian.PutUint16
	u32 := binary.LittleEndian.PutUint32
	u64 := binary.LittleEndian.PutUint64

	// The processor begins at f000:fff0, in real mode.
	put(0xfff0, 0xe9) // jmp start
	u16(rom[0xfff1:], 0x10000+start-0xfff3)

	at := put(start, 0xfa)                           // cli
	at = put(at, 0x2e, 0x66, 0x0f, 0x01, 0x16)       // lgdt cs:[gdtr]
	u16(rom[at:], gdtr)                              //
	at = put(at+2, 0x0f, 0x20, 0xc0)                 // mov eax, cr0
	at = put(at, 0x0c, 0x01)                         // or al, 1
	at = put(at, 0x0f, 0x22, 0xc0)                   // mov cr0, eax
	at = put(at, 0x66, 0xea)                         // jmp far 8:main
	u32(rom[at:], base+main)                         //
	u16(rom[at+4:], 8)                               //
	u64(rom[gdt+8:], 0x00cf9a000000ffff)             // code, all of memory
	u64(rom[gdt+16:], 0x00cf92000000ffff)            // data, all of memory
	u16(rom[gdtr:], 23)                              // limit
	u32(rom[gdtr+2:], base+gdt)                      //
	at = put(main, 0x66, 0xb8, 0x10, 0x00)           // mov ax, 16
	at = put(at, 0x8e, 0xd8, 0x8e, 0xd0, 0x8e, 0xc0) // mov ds, ax; ss; es
	at = put(at, 0xbf, 0x00, 0x00, 0x01, 0x00)       // mov edi, 0x10000: page directory
	at = put(at, 0xb9, 0x00, 0x04, 0x00, 0x00)       // mov ecx, 1024
	at = put(at, 0xb8, 0x83, 0x00, 0x00, 0x00)       // mov eax, 4 MiB page, present, writable
	at = put(at, 0xab, 0x05, 0x00, 0x00, 0x40, 0x00) // stosd; add eax, 4 MiB
	at = put(at, 0xe2, 0xf8)                         // loop
	at = put(at, 0x0f, 0x20, 0xe0, 0x83, 0xc8, 0x10) // mov eax, cr4; or eax, PSE
	at = put(at, 0x0f, 0x22, 0xe0)                   // mov cr4, eax
	at = put(at, 0xb8, 0x00, 0x00, 0x01, 0x00)       // mov eax, 0x10000
	at = put(at, 0x0f, 0x22, 0xd8)                   // mov cr3, eax
	at = put(at, 0x0f, 0x20, 0xc0)                   // mov eax, cr0
	at = put(at, 0x0d, 0x00, 0x00, 0x00, 0x80)       // or eax, PG
	at = put(at, 0x0f, 0x22, 0xc0)                   // mov cr0, eax
	at = put(at, 0xb9)                               // mov ecx, count
	u32(rom[at:], count)                             //
	at = put(at+4, 0x49, 0x75, 0xfd)                 // dec ecx; jnz -3
	put(at, 0xb0, probeExit>>1, 0xe6, 0xf4, 0xf4)    // mov al, n; out 0xf4, al; hlt
	return rom
}
