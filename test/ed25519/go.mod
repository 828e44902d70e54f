module service-fs.invalid/ed25519

go 1.24.0

require filippo.io/mostly-harmless/ed25519vectors v0.0.0-20210322192420-30a2d7243a94
