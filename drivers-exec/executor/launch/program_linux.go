package launch

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// program is the list of system calls that a child runs, with the names the
// parent reports them under and the memory their arguments point to.
type program struct {
	steps []step
	names []string
	keep  []any

	landlockRules int // the step whose result they are
}

// add appends a call and returns its number, which later calls can refer to.
func (p *program) add(name string, call uintptr, args ...uintptr) int {
	s := step{call: call, from: -1}
	copy(s.args[:], args)
	p.steps = append(p.steps, s)
	p.names = append(p.names, name)
	return len(p.steps) - 1
}

// on appends a call whose first argument is the result of step from.
func (p *program) on(from int, name string, call uintptr, args ...uintptr) int {
	n := p.add(name, call, append([]uintptr{0}, args...)...)
	p.steps[n].from = from
	return n
}

// tolerate lets the last call fail with one of two errors.
func (p *program) tolerate(a, b syscall.Errno) {
	p.steps[len(p.steps)-1].tolerate = [2]syscall.Errno{a, b}
}

// str returns the address of a C string that lives as long as the program.
// Strings with a zero byte were refused by [Spec.check].
func (p *program) str(s string) uintptr {
	b := append([]byte(s), 0)
	p.keep = append(p.keep, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// strs returns the address of a zero-terminated array of C strings.
func (p *program) strs(list []string) uintptr {
	ptrs := make([]uintptr, len(list)+1)
	for i, s := range list {
		ptrs[i] = p.str(s)
	}
	p.keep = append(p.keep, ptrs)
	return uintptr(unsafe.Pointer(&ptrs[0]))
}

// ref returns the address of a value that lives as long as the program.
func ref[T any](p *program, v T) uintptr {
	h := &v
	p.keep = append(p.keep, h)
	return uintptr(unsafe.Pointer(h))
}

// write appends calls that write text into a file by path.
func (p *program) write(name, path, text string) {
	fd := p.add(name, unix.SYS_OPENAT, fdcwd, p.str(path), unix.O_WRONLY|unix.O_CLOEXEC)
	p.on(fd, name, unix.SYS_WRITE, p.str(text), uintptr(len(text)))
}

// fdcwd is AT_FDCWD as an argument.
const fdcwd = ^uintptr(99)
