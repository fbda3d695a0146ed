package iis

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// host is a Windows machine.
type host struct{}

func thisMachine() machine { return host{} }

// webService is the service that IIS' sites depend on.
const webService = "W3SVC"

// appID marks certificate bindings as the driver's, as http.sys wants it of every owner.
const appID = "{6f0c6f2e-5d0c-4f0e-9d8f-0d6b8f3f7a11}"

func (host) service(toolPath string) (version, unwell string, err error) {
	if _, err := os.Stat(toolPath); err != nil {
		return "", "", fmt.Errorf("IIS is not installed: there is no %s", toolPath)
	}
	state, err := serviceState(webService)
	if err != nil {
		return "", "", fmt.Errorf("IIS is not installed: service %s: %w", webService, err)
	}
	if state != windows.SERVICE_RUNNING {
		unwell = "service " + webService + " does not run: start it with `net start " + webService + "`"
	}
	return iisVersion(), unwell, nil
}

func serviceState(name string) (uint32, error) {
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return 0, err
	}
	defer windows.CloseServiceHandle(manager)
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	service, err := windows.OpenService(manager, text, windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return 0, err
	}
	defer windows.CloseServiceHandle(service)
	var status windows.SERVICE_STATUS
	err = windows.QueryServiceStatus(service, &status)
	return status.CurrentState, err
}

// iisVersion is what IIS' setup wrote down, such as 10.0; empty if it did not.
func iisVersion() string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\InetStp`, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	major, _, err1 := key.GetIntegerValue("MajorVersion")
	minor, _, err2 := key.GetIntegerValue("MinorVersion")
	if errors.Join(err1, err2) != nil {
		return ""
	}
	return fmt.Sprintf("%d.%d", major, minor)
}

// system runs a tool of Windows.
func system(ctx context.Context, tool string, args ...string) error {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(dir, tool), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", tool, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (host) permit(ctx context.Context, dir, account, access string) error {
	return system(ctx, "icacls.exe", dir, "/grant", account+":"+access, "/Q")
}

func endpointArgument(endpoint string, sni bool) string {
	if sni {
		return "hostnameport=" + endpoint
	}
	return "ipport=" + endpoint
}

func (host) bind(ctx context.Context, endpoint string, sni bool, thumbprint string) error {
	return system(ctx, "netsh.exe", "http", "add", "sslcert", endpointArgument(endpoint, sni), "certhash="+thumbprint, "appid="+appID, "certstorename=MY")
}

// unbind succeeds if there is nothing bound: netsh cannot tell this from other failures, so it is asked first.
func (host) unbind(ctx context.Context, endpoint string, sni bool) error {
	where := endpointArgument(endpoint, sni)
	if system(ctx, "netsh.exe", "http", "show", "sslcert", where) != nil {
		return nil
	}
	return system(ctx, "netsh.exe", "http", "delete", "sslcert", where)
}

// machineStore opens the machine's own certificates.
func machineStore() (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString("MY")
	if err != nil {
		return 0, err
	}
	return windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM, 0, 0, windows.CERT_SYSTEM_STORE_LOCAL_MACHINE, uintptr(unsafe.Pointer(name)))
}

func (host) importPFX(pfx []byte, password string) (string, error) {
	if len(pfx) == 0 {
		return "", errors.New("the file is empty")
	}
	secret, err := windows.UTF16PtrFromString(password)
	if err != nil {
		return "", err
	}
	blob := windows.CryptDataBlob{Size: uint32(len(pfx)), Data: &pfx[0]}
	from, err := windows.PFXImportCertStore(&blob, secret, windows.CRYPT_MACHINE_KEYSET)
	if err != nil {
		return "", err
	}
	defer windows.CertCloseStore(from, 0)
	to, err := machineStore()
	if err != nil {
		return "", err
	}
	defer windows.CertCloseStore(to, 0)
	cert, err := windows.CertFindCertificateInStore(from, windows.X509_ASN_ENCODING|windows.PKCS_7_ASN_ENCODING, 0, windows.CERT_FIND_HAS_PRIVATE_KEY, nil, nil)
	if err != nil {
		return "", fmt.Errorf("it holds no certificate with a key: %w", err)
	}
	defer windows.CertFreeCertificateContext(cert)
	if err := windows.CertAddCertificateContextToStore(to, cert, windows.CERT_STORE_ADD_REPLACE_EXISTING, nil); err != nil {
		return "", err
	}
	return thumbprint(unsafe.Slice(cert.EncodedCert, cert.Length)), nil
}

func (host) removeCertificate(print string) error {
	digest, err := hex.DecodeString(print)
	if err != nil || len(digest) == 0 {
		return fmt.Errorf("remove certificate: %q is not a thumbprint", print)
	}
	store, err := machineStore()
	if err != nil {
		return err
	}
	defer windows.CertCloseStore(store, 0)
	blob := windows.CryptHashBlob{Size: uint32(len(digest)), Data: &digest[0]}
	cert, err := windows.CertFindCertificateInStore(store, windows.X509_ASN_ENCODING|windows.PKCS_7_ASN_ENCODING, 0, windows.CERT_FIND_HASH, unsafe.Pointer(&blob), nil)
	if err != nil {
		return nil // it is gone
	}
	return windows.CertDeleteCertificateFromStore(cert)
}

func (host) usage(pid int) (processUsage, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_VM_READ, false, uint32(pid))
	if err != nil {
		return processUsage{}, err
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return processUsage{}, err
	}
	var memory processMemoryCounters
	memory.size = uint32(unsafe.Sizeof(memory))
	call := windows.NewLazySystemDLL("kernel32.dll").NewProc("K32GetProcessMemoryInfo")
	if ok, _, err := call.Call(uintptr(h), uintptr(unsafe.Pointer(&memory)), uintptr(memory.size)); ok == 0 {
		return processUsage{}, err
	}
	return processUsage{user: ticks(user), system: ticks(kernel), memory: uint64(memory.workingSet)}, nil
}

// ticks are hundreds of nanoseconds. Filetime.Nanoseconds counts from another epoch.
func ticks(t windows.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}

// processMemoryCounters is PROCESS_MEMORY_COUNTERS.
type processMemoryCounters struct {
	size, pageFaults                    uint32
	peakWorkingSet, workingSet          uintptr
	peakPaged, paged, peakNon, nonPaged uintptr
	pagefile, peakPagefile              uintptr
}

func (host) kill(pid int) error {
	h, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
			return nil // there is no such process
		}
		return err
	}
	defer windows.CloseHandle(h)
	return windows.TerminateProcess(h, 1)
}
