/** The version of the software, shown in /v1/contract. */
export const VERSION = '0.1.0'
