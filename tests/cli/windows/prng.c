/* Wine 8 has no bcryptprimitives.dll, which Rust's own library asks for random numbers; Windows 10 and newer have it.
   This stand-in lies beside the program in tests only. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length)
{
    return RtlGenRandom(data, (ULONG)length);
}
