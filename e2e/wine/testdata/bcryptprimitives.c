/* Wine 8 has no bcryptprimitives.dll, without which programs of Go 1.24 and later do not start. They need one function of
   it, for which an older one of advapi32 stands in. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);

__declspec(dllexport) BOOL ProcessPrng(PBYTE data, SIZE_T length)
{
    return SystemFunction036(data, (ULONG)length);
}
