/* Prints what a domain wrote into its console page, line by line. */
#ifndef SERIAL_H
#define SERIAL_H

/* All that is new in the page of console `index`, as far as the domain has not printed too much of late. */
void serial_drain(unsigned index);
/* One line of the supervisor's own. */
void serial_line(const char *who, const char *line);

#endif
