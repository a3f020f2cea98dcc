/* The one function of bcryptprimitives.dll that Rust's standard library asks for, for Wine 8, which has no such file.
   Used by scripts/wine-run in tests only. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    const SIZE_T most = 1 << 20;
    SIZE_T done = 0;
    while (done < length) {
        SIZE_T part = length - done < most ? length - done : most;
        if (!RtlGenRandom(bytes + done, (ULONG)part))
            return FALSE;
        done += part;
    }
    return TRUE;
}
