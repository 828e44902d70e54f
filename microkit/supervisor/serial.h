/* Prints the lines that domains write to their console pages. */
#ifndef SERIAL_H
#define SERIAL_H

/* Prints the new text in the page of console `index`, within the domain's rate limit. */
void serial_drain(unsigned index);
/* Prints a line of the supervisor itself. */
void serial_line(const char *who, const char *line);

#endif
