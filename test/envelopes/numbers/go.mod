module service-fs.test/numbers

go 1.21
