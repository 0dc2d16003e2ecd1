"""What several tests share: small models, knowledge bases, files of other programs, a screen over fakes."""
