echo x > tool
