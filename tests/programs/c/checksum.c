/* Prints the CRC-32 of a file. */
#include <stdio.h>
#include <zlib.h>

int main(int argc, char **argv)
{
    unsigned char buffer[4096];
    size_t length;
    uLong crc = crc32(0, Z_NULL, 0);
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) {
        fprintf(stderr, "usage: checksum FILE\n");
        return 2;
    }
    while ((length = fread(buffer, 1, sizeof buffer, file)) > 0)
        crc = crc32(crc, buffer, length);
    printf("crc32 %08lx, zlib %s\n", crc, zlibVersion());
    return fclose(file) ? 1 : 0;
}
