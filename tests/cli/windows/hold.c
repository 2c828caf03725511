/* Keeps a file open for itself alone, as a virus scanner or an editor does, until its standard input ends. */
#include <stdio.h>
#include <windows.h>

int wmain(int count, wchar_t **arguments)
{
    HANDLE file = CreateFileW(arguments[1], GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    if (count != 2 || file == INVALID_HANDLE_VALUE)
        return 1;
    puts("held");
    fflush(stdout);
    getchar();
    return 0;
}
