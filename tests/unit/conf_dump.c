/*
 * Prints the schema of the configuration, for check_conf_man.sh.
 */
#include "io/conf_schema.h"

int main(void)
{
    conf_schema_dump(stdout);
    return ferror(stdout) != 0;
}
