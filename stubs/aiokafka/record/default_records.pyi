class DefaultRecordBatch:
    CODEC_ZSTD: int
