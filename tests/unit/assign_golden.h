/* members, buckets, absent (the first ones), weight step, hash of home, of owner */
{3, 256, 0, 0, UINT64_C(0x57abad469fd34037), UINT64_C(0x57abad469fd34037)},
    {3, 256, 1, 0, UINT64_C(0x57abad469fd34037), UINT64_C(0x867fe9bdc1902ed9)},
    {8, 256, 1, 0, UINT64_C(0xe565d4be0bfeb4a5), UINT64_C(0xb24f57805c1e66ac)},
    {8, 256, 2, 13, UINT64_C(0x10be5ede6897eb75), UINT64_C(0x01836720a70d4648)},
    {5, 16, 1, 100, UINT64_C(0xb98472a813033107), UINT64_C(0x4cd612157cb48ca9)},
    {64, 4096, 3, 14, UINT64_C(0xac3ca0db458a26d9), UINT64_C(0x38489a67b99c9c83)},
    {64, 64, 0, 1, UINT64_C(0x818a73662b1a508d), UINT64_C(0x818a73662b1a508d)},
    {33, 1024, 7, 27, UINT64_C(0xaa147841276216d4), UINT64_C(0x86f1525ad61f9d83)},
