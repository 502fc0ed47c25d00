module thumbs

go 1.19
