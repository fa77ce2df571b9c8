module servers/local-kms

go 1.25.3

require github.com/nsmithuk/local-kms v0.0.0-20231025161602-e4d9425700fe
