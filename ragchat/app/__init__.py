"""What you can do with ragchat, without a screen: both front ends and the command line call it. No textual, no click."""
